import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@testable import zkrecipes_dev

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
            let reason = try await lease.waitUntilLost()
            #expect(reason == .deadlinePassed)
            #expect(!lease.isValid)
            #expect(try await scene.contenders().count == 1)
            try await holder.cancelled.wait()
            await scene.proxy.release(.both)
            #expect(
                await holder.lockError()
                    == RecipeError(.lost, in: .lock, path: LockScene.path, lossReason: .deadlinePassed)
            )
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test(arguments: [3600, -3600])
    func `H32 a wall clock that jumps moves no deadline`(seconds: Int) async throws {
        let clock = try await WallClock()
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let proxy = try FaultProxy(to: scene.server)
            func run(_ options: [String], _ command: String...) throws -> TestProcess {
                let arguments = ["exclusive", "run", scene.path, "--session-timeout", "2"] + options
                return try TestProcess(
                    TestProcess.path(ofProduct: "zkrecipes"), arguments: arguments + ["--"] + command,
                    environment: clock.environment.merging(["ZOOKEEPER_CONNECT": proxy.connectionString]) { $1 })
            }
            // A wait: neither over at once nor endless.
            let permit = try await one.gate.enter()
            let waiting = try run(["--abort-after", "1"], "true")
            try await scene.awaitSignal(stands: true)
            let begin = ContinuousClock.now
            try clock.shift(by: seconds)
            #expect(try await waiting.waitForExit() == .exited(121))
            #expect(ContinuousClock.now - begin > .milliseconds(700))
            permit.leave()
            // A window: valid as long as its session is proved, which takes a write in each third of its timeout.
            let open = try run([], "/bin/sh", "-c", "echo open; exec sleep 600")
            try await open.line { $0 == "open" }
            try clock.shift(by: -seconds)
            proxy.clearRequests()
            for _ in 0..<6 { try await proxy.nextRequest { $0.operation == .multi } }
            #expect(try await scene.admin.exists(at: scene.signal) != nil)
            try open.terminate()
            #expect(try await open.waitForExit() == .exited(143))
            await proxy.close()
        }
    }

    @Test func `H36 with the server down the wait ends in time`() async throws {
        try await LockScene.with { scene in
            _ = try await scene.client.exists(at: "/")
            await scene.proxy.refuse()
            await scene.proxy.cut()
            let start = ContinuousClock.now
            let error = await #expect(throws: RecipeError.self) {
                try await scene.lock.withWriteLock(timeout: .seconds(1)) { _ in }
            }
            #expect(error?.code == .timedOut)
            #expect(ContinuousClock.now - start < .milliseconds(1500))
            await scene.proxy.accept()
        }
    }
}
