import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Locks within one process: nested, shared, upgraded, downgraded, tried.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct LockSharingTests {
    @Test func `readers of a client share a znode, which goes with the last of them`() async throws {
        try await LockScene.with { scene in
            let first = Holder.reads(scene.lock)
            let token = try await first.lease.fencingToken
            let again = try DistributedReadWriteLock(client: scene.client, path: LockScene.path)
            let second = Holder.reads(again)
            #expect(try await second.lease.fencingToken == token)
            #expect(try await scene.contenders().count == 1)
            try await first.finish()
            #expect(try await second.lease.isValid)
            #expect(try await !first.lease.isValid)
            #expect(try await scene.contenders().count == 1)
            try await second.finish()
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `onQueued is not called for a reader that shares a znode of its client`() async throws {
        try await LockScene.with { scene in
            let onQueued: OnQueued = { Issue.record("a reader that shares a znode reports position \($0)") }
            let first = try await scene.lock.acquireReadLock(onQueued: onQueued)
            let second = try await scene.lock.acquireReadLock(onQueued: onQueued)
            #expect(second.znodePaths == first.znodePaths)
            await first.release()
            let third = try await scene.lock.withReadLock(onQueued: onQueued) { $0.znodePaths }
            #expect(third == second.znodePaths)
            await second.release()
            // The write znode of a downgraded lock may still exist ahead of its readers.
            let writer = try await scene.lock.acquireWriteLock(onQueued: onQueued)
            try await writer.downgrade()
            let reader = try await scene.lock.acquireReadLock(onQueued: onQueued)
            #expect(reader.znodePaths == writer.znodePaths)
            await writer.release()
            await reader.release()
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test func `a reader does not join its client's read lock past a writer that is queued`() async throws {
        try await LockScene.with { scene in
            let reader = Holder.reads(scene.lock)
            _ = try await reader.lease
            let writer = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.count == 2 }
            let late = Holder.reads(scene.lock)
            try await scene.contenders { $0.count == 3 }
            #expect(!late.isGranted)
            try await reader.finish()
            _ = try await writer.lease
            #expect(!late.isGranted)
            try await writer.finish()
            _ = try await late.lease
            try await late.finish()
        }
    }

    @Test func `locks inside a valid write lock are parts of it`() async throws {
        try await LockScene.with { scene in
            try await scene.lock.withWriteLock { outer in
                try await scene.lock.withReadLock { inner in
                    #expect(inner.fencingToken == outer.fencingToken)
                }
                try await scene.lock.withWriteLock { inner in
                    #expect(inner.isValid && inner.fencingToken == outer.fencingToken)
                }
                let standing = try await scene.contenders()
                #expect(standing.count == 1)
            }
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `a downgraded lock is lost with its read znode`() async throws {
        try await LockScene.with { scene in
            let error = await #expect(throws: RecipeError.self) {
                try await scene.lock.withWriteLock { lease in
                    try await lease.downgrade()
                    let names = try await scene.contenders { $0.count == 1 && $0[0].kind == .read }
                    #expect(lease.isValid)
                    try await scene.other.delete(scene.path(names[0]))
                    #expect(try await lease.waitUntilLost() == .znodeDeleted)
                }
            }
            #expect(error == RecipeError(.lost, in: .lock, path: LockScene.path, lossReason: .znodeDeleted))
        }
    }
}
