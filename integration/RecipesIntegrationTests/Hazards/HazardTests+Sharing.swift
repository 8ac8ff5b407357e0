import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.2: read and write locks of one process.
extension HazardTests {
    @Test func `H17 a downgrade lets readers in, keeps a queued writer out, and keeps the number`() async throws {
        try await LockScene.with { scene in
            let (granted, goOn) = (OneShot<Lease>(), OneShot<Void>())
            let holder = Task {
                try await scene.lock.withWriteLock { lease in
                    granted.set(lease)
                    try await goOn.wait()
                }
            }
            let lease = try await granted.wait()
            let reader = Holder.reads(scene.otherLock)
            let names = try await scene.contenders { $0.count == 2 }
            let writer = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.count == 3 }

            try await lease.downgrade()
            _ = try await reader.lease
            let after = try await scene.contenders { $0.count == 3 && $0[0].kind == .read }
            #expect(after[0].number == names[0].number)
            #expect(after[0].prefix == names[0].prefix)
            #expect(lease.isValid && !writer.isGranted)
            try await reader.finish()
            #expect(!writer.isGranted)
            goOn.set(())
            try await holder.value
            #expect(try await writer.lease.fencingToken > lease.fencingToken)
            try await writer.finish()
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `H18 an upgrade fails at once`() async throws {
        try await LockScene.with { scene in
            try await scene.lock.withReadLock { _ in
                _ = try await scene.requests()
                let error = await #expect(throws: RecipeError.self) {
                    try await scene.lock.withWriteLock { _ in }
                }
                #expect(error?.code == .upgradeNotAllowed)
                #expect(try await scene.requests().isEmpty)
            }
        }
    }

    @Test func `H19 a nested read is granted with a writer queued, through another object as well`() async throws {
        try await LockScene.with { scene in
            let again = try DistributedReadWriteLock(client: scene.client, path: LockScene.path)
            let writer = try await scene.lock.withReadLock { outer in
                let writer = Holder.writes(scene.otherLock)
                try await scene.contenders { $0.count == 2 }
                try await again.withReadLock { inner in
                    #expect(inner.isValid && inner.fencingToken == outer.fencingToken)
                    let standing = try await scene.contenders()
                    #expect(standing.count == 2)
                }
                #expect(outer.isValid && !writer.isGranted)
                return writer
            }
            _ = try await writer.lease
            try await writer.finish()
        }
    }

    @Test func `H20 a lock inside a lost one fails, while somebody else holds it`() async throws {
        try await LockScene.with { scene in
            let (granted, goOn, nested) = (OneShot<Lease>(), OneShot<Void>(), OneShot<(any Error)?>())
            let holder = Task {
                try await scene.lock.withWriteLock { lease in
                    // A task of the body's own, which the loss does not cancel.
                    let inner = Task {
                        do {
                            try await goOn.wait()
                            try await scene.lock.withReadLock { _ in }
                            nested.set(nil)
                        } catch {
                            nested.set(error)
                        }
                    }
                    granted.set(lease)
                    await inner.value
                }
            }
            let lease = try await granted.wait()
            try await scene.server.expireSession(of: scene.client)
            let other = Holder.writes(scene.otherLock)
            _ = try await other.lease
            _ = try await lease.waitUntilLost()
            goOn.set(())
            let error = try await nested.wait()
            #expect((error as? RecipeError)?.code == .lost)
            #expect(try await other.lease.isValid)
            let outer = await #expect(throws: RecipeError.self) { try await holder.value }
            #expect(outer?.code == .lost)
            try await other.finish()
        }
    }
}
