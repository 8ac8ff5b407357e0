import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(3)))
struct ReadWriteLockTests {
    @Test func `a writer excludes a second one, which follows with a greater token`() async throws {
        try await LockScene.with { scene in
            let first = Holder.writes(scene.lock)
            let token = try await first.lease.fencingToken
            let second = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.count == 2 }
            #expect(!second.isGranted)
            #expect(try await first.lease.isValid)
            try await first.finish()
            #expect(try await second.lease.fencingToken > token)
            #expect(try await !first.lease.isValid)
            #expect(try await first.lease.state == .released)
            try await second.finish()
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `readers and writers come in by their order, readers together`() async throws {
        try await LockScene.with { scene in
            let writer1 = Holder.writes(scene.lock)
            _ = try await writer1.lease
            let reader1 = Holder.reads(scene.otherLock)
            try await scene.contenders { $0.count == 2 }
            let reader2 = Holder.reads(scene.lock)
            try await scene.contenders { $0.count == 3 }
            let writer2 = Holder.writes(scene.lock)
            try await scene.contenders { $0.count == 4 }
            let reader3 = Holder.reads(scene.otherLock)
            try await scene.contenders { $0.count == 5 }

            try await writer1.finish()
            _ = try await reader1.lease
            _ = try await reader2.lease
            #expect(!writer2.isGranted && !reader3.isGranted)
            try await reader1.finish()
            #expect(!writer2.isGranted && !reader3.isGranted)
            try await reader2.finish()
            _ = try await writer2.lease
            #expect(!reader3.isGranted)
            try await writer2.finish()
            try await reader3.finish()
            #expect(reader3.isGranted)
        }
    }

    @Test func `handles exclude each other as bodies do, and any task releases them`() async throws {
        try await LockScene.with { scene in
            let reader = try await scene.lock.acquireReadLock()
            let other = try await scene.otherLock.tryAcquireReadLock()
            let busy = await #expect(throws: RecipeError.self) { try await scene.otherLock.tryAcquireWriteLock() }
            #expect(busy?.code == .notAvailable)
            let late = await #expect(throws: RecipeError.self) {
                try await scene.otherLock.acquireWriteLock(timeout: .milliseconds(200))
            }
            #expect(late?.code == .timedOut)
            // Neither of the two that failed has left a znode.
            #expect(try await scene.contenders { $0.count == 2 }.allSatisfy { $0.kind == .read })
            let writing = Task { try await scene.lock.acquireWriteLock() }
            try await scene.contenders { $0.count == 3 }
            #expect(await other.release() == .deleted)
            #expect(await Task.detached { await reader.release() }.value == .deleted)
            let writer = try await writing.value
            #expect(writer.isValid && writer.fencingToken.kind == .exclusive)
            try await writer.downgrade()
            let joined = try await scene.lock.acquireReadLock(timeout: .seconds(10))
            #expect(writer.isValid && joined.isValid)
            await writer.release()
            await joined.release()
            #expect(try await scene.contenders { $0.isEmpty }.isEmpty)
        }
    }

    @Test(arguments: [false, true])
    func `a waiting handle that is cancelled leaves no znode`(isReader: Bool) async throws {
        try await LockScene.with { scene in
            let holder = try await scene.otherLock.acquireWriteLock()
            let waiting = Task {
                isReader ? try await scene.lock.acquireReadLock() : try await scene.lock.acquireWriteLock()
            }
            try await scene.contenders { $0.count == 2 }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            try await scene.contenders { $0.count == 1 }
            #expect(holder.isValid)
            await holder.release()
            #expect(try await scene.contenders { $0.isEmpty }.isEmpty)
        }
    }

    @Test func `the znodes are Curator's, ephemeral, with the holder's name`() async throws {
        try await LockScene.with { scene in
            let reader = Holder.reads(scene.lock)
            _ = try await reader.lease
            let writer = Holder.writes(scene.otherLock)
            let names = try await scene.contenders { $0.count == 2 }
            let uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
            let read = try Regex("_c_\(uuid)-__READ__0000000000")
            let write = try Regex("_c_\(uuid)-__WRIT__0000000001")
            #expect(try read.wholeMatch(in: names[0].string) != nil)
            #expect(try write.wholeMatch(in: names[1].string) != nil)
            let node = try await scene.other.data(at: scene.path(names[0]))
            #expect(node.data == Array("near".utf8))
            #expect(node.stat.ephemeralOwner == scene.client.session?.id)
            try await reader.finish()
            try await writer.finish()
        }
    }

    @Test func `an uncontended lock that is held for a moment costs a create, a listing and a delete`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(30)) { scene in
            try await scene.lock.withWriteLock { _ in }
            let before = try await scene.server.counters().packetsReceived
            for _ in 0..<100 { try await scene.lock.withWriteLock { _ in } }
            let packets = try await scene.server.counters().packetsReceived - before
            // The counters' own connection and a proof count as well; a slow machine may set some watches.
            #expect((300..<350).contains(packets))
            scene.proxy.clearRequests()
            try await scene.lock.withReadLock { _ in }
            let requests = try await scene.requests()
            #expect(requests.filter { $0 != .getData } == [.createWithStat, .getChildrenWithStat, .delete])
        }
    }

    @Test func `a lock that is held for longer is watched`() async throws {
        try await LockScene.with { scene in
            try await scene.lock.withWriteLock { _ in }
            scene.proxy.clearRequests()
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            try await scene.proxy.nextRequest { $0.operation == .getData }
            #expect(lease.isValid)
            try await holder.finish()
        }
    }
}
