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
            let again = try ReadWriteLock(client: scene.client, path: LockScene.path)
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

    @Test func `H19 a nested read is granted with a writer queued, through another object as well`() async throws {
        try await LockScene.with { scene in
            let again = try ReadWriteLock(client: scene.client, path: LockScene.path)
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

    @Test func `H18 an upgrade fails at once`() async throws {
        try await LockScene.with { scene in
            try await scene.lock.withReadLock { _ in
                _ = try await scene.requests()
                let error = await #expect(throws: LockError.self) {
                    try await scene.lock.withWriteLock { _ in }
                }
                #expect(error?.code == .upgradeNotAllowed)
                #expect(try await scene.requests().isEmpty)
            }
        }
    }

    @Test func `H20 locks inside a valid write lock are parts of it`() async throws {
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
            _ = try await lease.lost
            goOn.set(())
            let error = try await nested.wait()
            #expect((error as? LockError)?.code == .lost)
            #expect(try await other.lease.isValid)
            let outer = await #expect(throws: LockError.self) { try await holder.value }
            #expect(outer?.code == .lost)
            try await other.finish()
        }
    }

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

    @Test func `a downgraded lock is lost with its read znode`() async throws {
        try await LockScene.with { scene in
            let error = await #expect(throws: LockError.self) {
                try await scene.lock.withWriteLock { lease in
                    try await lease.downgrade()
                    let names = try await scene.contenders { $0.count == 1 && $0[0].kind == .read }
                    #expect(lease.isValid)
                    try await scene.other.delete(scene.path(names[0]))
                    #expect(try await lease.lost == .znodeDeleted)
                }
            }
            #expect(error == LockError(.lost, path: LockScene.path, reason: .znodeDeleted))
        }
    }

    @Test func `H26 a thousand failing tries create nothing`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.reads(scene.otherLock)
            _ = try await holder.lease
            scene.proxy.forgetRequests()
            for _ in 0..<1000 {
                let error = await #expect(throws: LockError.self) {
                    try await scene.lock.tryWithWriteLock { _ in }
                }
                #expect(error?.code == .notAvailable)
            }
            let requests = try await scene.requests()
            #expect(requests.count == 1000 && requests.allSatisfy { $0 == .getChildrenWithStat })
            try await scene.lock.tryWithReadLock { #expect($0.isValid) }
            try await holder.finish()
            try await scene.lock.tryWithWriteLock { #expect($0.isValid) }
        }
    }
}
