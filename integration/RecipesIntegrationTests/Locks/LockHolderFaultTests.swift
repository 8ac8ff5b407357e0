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
            #expect(lease.state.isReleased)
        }
    }

    @Test func `H34 twenty cuts move nothing`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let names = try await scene.contenders()
            scene.proxy.forgetRequests()
            for _ in 0..<20 {
                let connections = scene.proxy.counters.connections
                await scene.proxy.cut()
                try await scene.proxy.awaitConnections(connections + 1)
                await scene.client.state { $0.isConnected }
            }
            #expect(lease.isValid && !holder.isCancelled)
            #expect(try await scene.contenders() == names)
            let stat = try await scene.other.exists(at: scene.path(names[0]))
            #expect(stat?.czxid.rawValue == lease.fencingToken.rawValue)
            #expect(try await !scene.requests().contains { $0 == .createWithStat })
            try await holder.finish()
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

    @Test func `H27 an expired session ends the lock, and the next one gets it`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let next = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.count == 2 }
            try await scene.server.expireSession(of: scene.client)
            #expect(try await next.lease.fencingToken > lease.fencingToken)
            #expect(await holder.lockError()?.code == .lost)
            #expect(!lease.isValid)
            try await next.finish()
            try await scene.lock.withWriteLock { #expect($0.isValid) }
        }
    }

    @Test func `H42 a holder whose znode is deleted stops at once`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            try await scene.other.delete(scene.path(scene.contenders()[0]))
            #expect(try await lease.lost == .znodeDeleted)
            #expect(!lease.isValid)
            #expect(await holder.lockError() == LockError(.lost, path: LockScene.path, reason: .znodeDeleted))
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
            #expect(lease.state.isReleased)
        }
    }

    @Test func `a graceful shutdown ends the lock and removes the znode`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            scene.client.triggerGracefulShutdown()
            #expect(await holder.lockError() == LockError(.lost, path: LockScene.path, reason: .clientStopped))
            #expect(!lease.isValid)
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test(arguments: [false, true])
    func `H11 a release during an outage goes on until the znode is gone`(isCancelled: Bool) async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            if isCancelled {
                holder.cancel()
                #expect(await holder.error() is CancellationError)
            } else {
                try await holder.finish()
            }
            #expect(lease.state.isReleasing)
            #expect(try await scene.contenders().count == 1)
            await scene.proxy.accept()
            try await scene.contenders { $0.isEmpty }
            for await state in lease.states where state.isReleased { break }
            #expect(lease.state.isReleased)
        }
    }

    @Test func `H11 a release without the right to delete is reported, and goes on`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let world = ACL(permissions: [.read, .write, .create, .admin], scheme: "world", id: "anyone")
            try await scene.other.setACL([world], at: LockScene.path)
            try await holder.finish()
            #expect(lease.state.isReleasing)
            try await scene.other.setACL([.open], at: LockScene.path)
            try await scene.contenders { $0.isEmpty }
            for await state in lease.states where state.isReleased { break }
        }
    }
}
