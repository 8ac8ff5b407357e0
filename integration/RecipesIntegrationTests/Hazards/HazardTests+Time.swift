import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@testable import zkrecipes

/// Section 1.3: processes that stop, networks that are silent, clocks that jump, waits that have an end.
extension HazardTests {
    @Test func `H28 a processor frozen beyond its session processes nothing before its gate has a new token`()
        async throws
    {
        let scene = try await ProcessScene(
            ["frozen", "other"], on: TestServer.current.connectionString, base: "/frozen")
        let window = try scene.window(1)
        var token: Int64 = 0
        try await scene.processors[0].freeze { token = try await window.opened().token }
        try await window.ended()
        for processor in scene.processors { try await processor.passing(after: token) }

        let (evidence, findings) = await scene.findings([window])
        #expect(findings.insideWindows == 0)
        #expect(findings.withOldToken == 0)
        let frozen = evidence.processors[0]
        let thaw = try #require(frozen.freezes.first).upperBound
        let late = frozen.events.filter { $0.begin > thaw && $0.token < token }
        #expect(late.isEmpty)
        #expect(frozen.events.contains { $0.begin > thaw && $0.token > token })
        #expect(findings.windows[0].resumed.count == 2)
        #expect(evidence.windows[0].failure == nil)
    }

    @Test func `H29 a silent network ends the lock at its deadline, before the server ends the session`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            await scene.proxy.hold(.both)
            let reason = try await lease.lost
            #expect(reason == .deadlinePassed)
            #expect(!lease.isValid)
            #expect(try await scene.contenders().count == 1)
            try await holder.cancelled.wait()
            await scene.proxy.release(.both)
            #expect(await holder.lockError() == LockError(.lost, path: LockScene.path, reason: .deadlinePassed))
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test func `H36 with the server down the wait ends in time`() async throws {
        try await LockScene.with { scene in
            _ = try await scene.client.exists(at: "/")
            await scene.proxy.refuse()
            await scene.proxy.cut()
            let start = ContinuousClock.now
            let error = await #expect(throws: LockError.self) {
                try await scene.lock.withWriteLock(waitingAtMost: .seconds(1)) { _ in }
            }
            #expect(error?.code == .timedOut)
            #expect(ContinuousClock.now - start < .milliseconds(1500))
            await scene.proxy.accept()
        }
    }
}
