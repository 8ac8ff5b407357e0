import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// What happens to somebody who holds a lock.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct LockHolderFaultTests {
    @Test func `a lost connection leaves the lock with its holder`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let names = try await scene.contenders()
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            #expect(lease.isValid && lease.state.isHeld)
            await scene.proxy.accept()
            await scene.client.state { $0.isConnected }
            #expect(lease.isValid)
            #expect(try await scene.contenders() == names)
            try await holder.finish()
            #expect(lease.state == .released)
        }
    }

    @Test func `a server that restarts moves nothing`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(30)) { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let waiter = Holder.reads(scene.otherLock)
            let names = try await scene.contenders { $0.count == 2 }
            await scene.server.kill()
            await scene.client.state { $0.isSuspended }
            #expect(lease.isValid)
            try await scene.server.start()
            await scene.client.state { $0.isConnected }
            #expect(try await scene.contenders() == names)
            #expect(lease.isValid && !holder.isCancelled && !waiter.isGranted)
            try await holder.finish()
            _ = try await waiter.lease
            #expect(try await scene.contenders() == [names[1]])
            try await waiter.finish()
        }
    }

    @Test func `a body that ignores its cancellation is awaited before the place is given up`() async throws {
        try await LockScene.with { scene in
            let (lost, goOn) = (OneShot<Void>(), OneShot<Void>())
            let task = Task {
                try await scene.lock.withWriteLock { lease in
                    lost.set(())
                    await withCheckedContinuation { continuation in
                        goOn.observe { continuation.resume() }
                    }
                }
            }
            try await lost.wait()
            task.cancel()
            #expect(try await scene.contenders().count == 1)
            goOn.set(())
            try? await task.value
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `a cancelled caller's body is cancelled, and the znode is gone when the call returns`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            holder.cancel()
            #expect(await holder.error() is CancellationError)
            #expect(holder.isCancelled)
            #expect(try await scene.contenders().isEmpty)
            #expect(lease.state == .released)
        }
    }

    @Test func `a graceful shutdown ends the lock and removes the znode`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            scene.client.triggerGracefulShutdown()
            #expect(
                await holder.lockError()
                    == RecipeError(.lost, in: .lock, path: LockScene.path, lossReason: .clientStopped))
            #expect(!lease.isValid)
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test func `a release without the right to delete is reported, and goes on`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let world = ACL(permissions: [.read, .write, .create, .admin], scheme: "world", id: "anyone")
            try await scene.other.setACL([world], at: LockScene.path)
            try await holder.finish()
            #expect(lease.state == .releasing)
            try await scene.other.setACL([.openUnsafe], at: LockScene.path)
            try await scene.contenders { $0.isEmpty }
            for await state in lease.states where state == .released { break }
        }
    }
}
