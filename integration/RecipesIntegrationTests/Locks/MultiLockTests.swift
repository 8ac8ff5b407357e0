import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Two locks of a client, and both of them together.
struct LockPair {
    var first: DistributedMutex
    var second: DistributedReadWriteLock
    var multi: MultiLock

    init(_ client: ZooKeeperClient, isReversed: Bool = false) throws {
        first = try DistributedMutex(client: client, path: "/a")
        second = try DistributedReadWriteLock(client: client, path: "/b")
        let parts: [MultiLock.Part] = [.mutex(first), .write(second)]
        multi = try MultiLock(isReversed ? parts.reversed() : parts)
    }
}

/// Several locks at a time.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct MultiLockTests {
    @Test func `all locks are held together, and given up together`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try LockPair(scene.client, isReversed: true), try LockPair(scene.other))
            #expect(near.multi.paths == ["/a", "/b"])
            try await near.multi.withLock { leases in
                #expect(leases.isValid && leases.timeLeft > .zero && leases.validUntil != nil)
                #expect(leases.fencingToken(at: "/a") == leases.leases[0].fencingToken)
                #expect(leases.fencingToken(at: "/c") == nil)
                await #expect(throws: RecipeError(.notAvailable, in: .lock, path: "/a")) {
                    try await far.first.tryAcquire()
                }
                await #expect(throws: RecipeError(.notAvailable, in: .lock, path: "/b")) {
                    try await far.second.tryWithReadLock { _ in }
                }
                let results = try await leases.transaction([.create("/written")])
                #expect(results.map(\.path) == ["/written"])
            }
            let leases = try await far.multi.tryAcquire()
            #expect(await leases.release().values.allSatisfy { $0 == .deleted })
            await #expect(throws: RecipeError.self) { try await leases.transaction([.check("/")]) }
        }
    }

    @Test func `two with opposite orders do not wait for each other`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try LockPair(scene.client), try LockPair(scene.other, isReversed: true))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for locks in [near, far] {
                    group.addTask {
                        for _ in 0..<25 { try await locks.multi.withLock { #expect($0.isValid) } }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `who is cancelled while it waits gives back what it had`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try LockPair(scene.client), try LockPair(scene.other))
            let lease = Holder.reads(far.second)
            _ = try await lease.lease
            let task = Task { try await near.multi.acquire() }
            while try await far.second.queue().count < 2 {}
            #expect(try await far.first.queue().count == 1)
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try await far.first.queue().isEmpty)
            #expect(try await far.second.queue().count == 1)
            try await lease.finish()
        }
    }

    @Test func `the loss of one while the next is waited for ends the attempt`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try LockPair(scene.client), try LockPair(scene.other))
            let lease = Holder.reads(far.second)
            _ = try await lease.lease
            let task = Task { try await near.multi.acquire() }
            while try await far.second.queue().count < 2 {}
            try await scene.other.delete(try await far.first.queue()[0].path)
            await #expect(throws: RecipeError(.lost, in: .lock, path: "/a", lossReason: .znodeDeleted)) {
                try await task.value
            }
            #expect(try await far.second.queue().count == 1)
            try await lease.finish()
        }
    }

    @Test func `the loss of one is the loss of all`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try LockPair(scene.client), try LockPair(scene.other))
            let (granted, cancelled) = (OneShot<MultiLease>(), OneShot<Void>())
            let task = Task {
                try await near.multi.withLock { leases in
                    granted.set(leases)
                    do { try await OneShot<Void>().wait() } catch { cancelled.set(()) }
                }
            }
            let leases = try await granted.wait()
            try await scene.other.delete(try await far.second.queue()[0].path)
            #expect(try await leases.waitUntilLost() == .znodeDeleted)
            #expect(!leases.isValid && leases.validUntil == nil)
            await #expect(throws: RecipeError(.lost, in: .lock, path: "/b", lossReason: .znodeDeleted)) {
                try await task.value
            }
            #expect(cancelled.value != nil)
            #expect(try await far.first.queue().isEmpty)
        }
    }

    @Test func `no lock, one lock twice, and locks of two clients are refused`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try LockPair(scene.client), try LockPair(scene.other))
            let impossible: [[MultiLock.Part]] = [
                [], [.mutex(near.first), .mutex(near.first)], [.read(near.second), .write(near.second)],
                [.mutex(near.first), .write(far.second)],
            ]
            for parts in impossible {
                let error = #expect(throws: RecipeError.self) { try MultiLock(parts) }
                #expect(error?.code == .invalidArgument)
            }
        }
    }
}
