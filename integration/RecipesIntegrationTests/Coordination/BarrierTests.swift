import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(2)))
struct DistributedBarrierTests {
    @Test func `it holds back while it is set, through lost connections, a restart and a new session`() async throws {
        try await CacheScene.with { scene in
            let far = try DistributedBarrier(client: scene.other, path: "/app/barrier")
            let near = try DistributedBarrier(client: scene.client, path: "/app/barrier")
            try await near.wait()
            #expect(try await far.set(data: [1]))
            #expect(try await far.set() == false)
            #expect(try await near.isSet())
            let passed = OneShot<Void>()
            let waiter = Task {
                try await near.wait()
                passed.set(())
            }
            await scene.proxy.cut()
            // A write is an event, and no reason to pass.
            try await scene.other.setData([2], at: "/app/barrier")
            try await scene.server.expireSession(of: scene.client)
            await scene.client.state { $0.isConnected && $0.session?.epoch == 2 }
            try await scene.server.restart()
            _ = try await scene.client.exists(at: "/")
            #expect(passed.value == nil)
            try await far.remove()
            try await far.remove()
            try await waiter.value
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `a wait ends at its deadline and by cancellation, before and within it, and leaves no watch`()
        async throws
    {
        try await CacheScene.with { scene in
            let barrier = try DistributedBarrier(client: scene.client, path: "/barrier")
            try await barrier.set()
            do {
                try await barrier.wait(timeout: .milliseconds(100))
                Issue.record("passed")
            } catch let error as RecipeError {
                #expect(error.code == .timedOut)
            }
            let waiting = Task { try await barrier.wait() }
            _ = try await scene.proxy.nextRequest { $0.operation == .multi }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            let early = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await barrier.wait()
            }
            await #expect(throws: CancellationError.self) { try await early.value }
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `set and remove find out what became of a lost answer`() async throws {
        try await CacheScene.with(sessionTimeout: .seconds(10)) { scene in
            let barrier = try DistributedBarrier(client: scene.client, path: "/barrier")
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .createWithStat }
            try await barrier.set()
            #expect(try await barrier.isSet())
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .delete }
            try await barrier.remove()
            #expect(try await barrier.isSet() == false)
        }
    }
}

@Suite(.serialized, .timeLimit(.minutes(2)))
struct DoubleBarrierTests {
    private static let path = "/app/phase"

    /// How far the participants of one round are.
    private final class Round: Sendable {
        let arrived = Atomic(0)
        let finished = Atomic(0)
    }

    private func barrier(_ client: ZooKeeperClient, participants: Int = 2) throws -> DistributedDoubleBarrier {
        try DistributedDoubleBarrier(client: client, path: Self.path, participantCount: participants)
    }

    @Test func `all begin together and end together, round after round`() async throws {
        try await CacheScene.with { scene in
            for _ in 0..<3 {
                let round = Round()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<6 {
                        let client = index.isMultiple(of: 2) ? scene.client : scene.other
                        group.addTask {
                            round.arrived.add(1, ordering: .sequentiallyConsistent)
                            let barrier = try DistributedDoubleBarrier(
                                client: client, path: Self.path, participantCount: 6)
                            try await barrier.withBarrier {
                                #expect(round.arrived.load(ordering: .sequentiallyConsistent) == 6)
                                _ = try await client.exists(at: "/")
                                round.finished.add(1, ordering: .sequentiallyConsistent)
                            }
                            // When one has left, all have finished.
                            #expect(round.finished.load(ordering: .sequentiallyConsistent) == 6)
                        }
                    }
                    try await group.waitForAll()
                }
            }
            let left = try await scene.other.exists(at: Self.path)?.childrenCount ?? 0
            #expect(left == 0)
            try await scene.settle()
            #expect(try await scene.server.counters().watchCount == 0)
        }
    }

    @Test func `a ready that an earlier round left behind lets nobody pass, and all pass when enough have come`()
        async throws
    {
        try await CacheScene.with { scene in
            try await scene.other.create("\(Self.path)/ready", parents: true)
            let near = try barrier(scene.client)
            do {
                try await near.withBarrier(timeout: .milliseconds(300)) { _ = Issue.record("passed alone") }
            } catch let error as RecipeError {
                #expect(error.code == .timedOut)
            }
            #expect(try await scene.other.children(of: Self.path).names == ["ready"])
            async let first: Void = near.withBarrier {}
            async let second: Void = barrier(scene.other).withBarrier {}
            _ = try await (first, second)
        }
    }

    @Test func `leaving ends when the others have left or crashed, at its deadline, and not for a next round`()
        async throws
    {
        try await CacheScene.with { scene in
            let (near, far) = (try barrier(scene.client), try barrier(scene.other))
            let letGo = OneShot<Void>()
            let slow = Task { try await far.withBarrier { try await letGo.wait() } }
            do {
                try await near.withBarrier(leaveTimeout: .milliseconds(300)) {}
                Issue.record("left alone")
            } catch let error as RecipeError {
                #expect(error.code == .timedOut)
            }
            #expect(try await scene.other.children(of: Self.path).names.count == 2)
            // The own znode has gone: the slow one need not wait for it.
            letGo.set(())
            try await slow.value
        }
    }

    @Test func `a slow one that has left does not take away the ready of the next round`() async throws {
        try await CacheScene.with(sessionTimeout: .seconds(20)) { scene in
            let ready = "\(Self.path)/ready"
            let deletion: @Sendable (ProxiedRequest) -> Bool = { $0.operation == .delete && $0.path == ready }
            await scene.proxy.holdFromNextRequest(where: deletion)
            let alone = try barrier(scene.client, participants: 1)
            let slow = Task { try await alone.withBarrier {} }
            // It has seen the barrier empty, and what it sends now is on its way.
            try await scene.proxy.nextRequest(where: deletion)
            let letGo = OneShot<Void>()
            let next = (0..<2).map { _ in
                Task { try await barrier(scene.other).withBarrier { try await letGo.wait() } }
            }
            // Created and written by the slow one, and written once more.
            let opened = try await scene.opening(of: ready, version: 2)
            await scene.proxy.release(.toServer)
            try await slow.value
            #expect(try await scene.other.exists(at: ready)?.czxid == opened.czxid)
            letGo.set(())
            for task in next { try await task.value }
            #expect(try await scene.other.exists(at: ready) == nil)
        }
    }

    @Test func `cancelled before and during the wait, and with an operation that fails, nothing is left`() async throws
    {
        try await CacheScene.with { scene in
            let near = try barrier(scene.client)
            let early = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await near.withBarrier {}
            }
            await #expect(throws: (any Error).self) { try await early.value }
            let waiting = Task { try await near.withBarrier {} }
            try await scene.members(1, at: Self.path)
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            try await scene.members(0, at: Self.path)
            let alone = try barrier(scene.client, participants: 1)
            await #expect(throws: TestKitError.self) {
                try await alone.withBarrier { throw TestKitError(.system, "planned") }
            }
            try await scene.members(0, at: Self.path)
        }
    }
}

extension CacheScene {
    /// Waits until so many stand beside `ready`.
    func members(_ count: Int, at path: String) async throws {
        while true {
            let (stat, created) = try await other.watchExistence(at: path)
            guard stat != nil else {
                if count == 0 { return }
                _ = try await created.event()
                continue
            }
            let (names, _, watch) = try await other.watchChildren(of: path)
            if names.filter({ $0 != "ready" }).count == count { return }
            _ = try await watch.event()
        }
    }
}

extension CacheScene {
    /// Waits until a barrier's `ready` has been written so often.
    func opening(of ready: String, version: Int32) async throws -> ZNodeStat {
        while true {
            let (stat, changed) = try await other.watchExistence(at: ready)
            if let stat, stat.dataVersion >= version { return stat }
            _ = try await changed.event()
        }
    }
}
