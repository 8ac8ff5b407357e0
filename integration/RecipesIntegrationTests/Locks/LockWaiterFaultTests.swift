import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// What happens to somebody who waits for a lock.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct LockWaiterFaultTests {
    @Test func `a silent network keeps the place as long as the session lives`() async throws {
        try await LockScene.withWaiter(sessionTimeout: .seconds(6)) { scene, holder, waiter in
            let names = try await scene.contenders()
            await scene.proxy.hold(.toClient)
            await scene.client.state { $0.isSuspended }
            await scene.proxy.release(.both)
            await scene.client.state { $0.isConnected }
            #expect(try await scene.contenders() == names)
            try await holder.finish()
            #expect(try await waiter.lease.isValid)
            #expect(try await scene.contenders() == [names[1]])
            try await waiter.finish()
        }
    }

    @Test func `a waiter whose znode is deleted joins again`() async throws {
        try await LockScene.withWaiter { scene, holder, waiter in
            let old = try await scene.contenders()[1]
            try await scene.other.delete(scene.path(old))
            try await scene.contenders { $0.count == 2 && !$0.contains(old) }
            #expect(!waiter.isGranted)
            try await holder.finish()
            #expect(try await waiter.lease.isValid)
            try await waiter.finish()
        }
    }

    @Test func `a cancelled waiter's znode is gone when the call returns`() async throws {
        try await LockScene.withWaiter { scene, holder, waiter in
            waiter.cancel()
            #expect(await waiter.error() is CancellationError)
            #expect(try await scene.contenders().count == 1)
            #expect(!waiter.isGranted)
            try await holder.finish()
        }
    }

    @Test func `a task that is cancelled already asks for nothing`() async throws {
        try await LockScene.with { scene in
            _ = try await scene.requests()
            let task = Task {
                withUnsafeCurrentTask { unsafe $0?.cancel() }
                try await scene.lock.withWriteLock { _ in _ = Issue.record("the body ran") }
            }
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(try await scene.requests().isEmpty)
        }
    }

    @Test func `time that runs out ends the wait and leaves nothing behind`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.otherLock)
            _ = try await holder.lease
            let error = await #expect(throws: RecipeError.self) {
                try await scene.lock.withReadLock(timeout: .milliseconds(300)) { _ in }
            }
            #expect(error?.code == .timedOut)
            try await scene.contenders { $0.count == 1 }
            try await holder.finish()
        }
    }

    @Test func `with a silent network the wait ends in time, and nothing stays behind`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            try await scene.lock.withWriteLock { _ in }
            await scene.proxy.hold(.toClient)
            let start = ContinuousClock.now
            let error = await #expect(throws: RecipeError.self) {
                try await scene.lock.withWriteLock(timeout: .seconds(1)) { _ in }
            }
            #expect(error?.code == .timedOut)
            #expect(ContinuousClock.now - start < .milliseconds(1500))
            await scene.proxy.release(.both)
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test func `a create that never happened is made again`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            try await scene.lock.withWriteLock { _ in }
            await scene.proxy.dropNextRequest(thenCut: true) { $0.operation == .createWithStat }
            try await scene.lock.withWriteLock { _ in
                let standing = try await scene.contenders()
                #expect(standing.count == 1)
            }
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test func `without the right to create a child the attempt fails at once`() async throws {
        try await LockScene.with { scene in
            try await scene.other.create("/app")
            try await scene.other.create(LockScene.path, acl: [.readUnsafe])
            let error = await #expect(throws: ZooKeeperError.self) {
                try await scene.lock.withWriteLock { _ in }
            }
            #expect(error?.code == .noAuth)
        }
    }

    @Test func `a waiter behind a znode that it may not read waits all the same`() async throws {
        try await LockScene.with { scene in
            try await scene.lock.withWriteLock { _ in }
            let name = ContenderName.base(uuid: ContenderName.makeUUID(using: Randomness()), kind: .write)
            let node = try await scene.other.create(
                "\(LockScene.path)/\(name)", mode: .ephemeralSequential,
                acl: [ACL(permissions: [.delete], scheme: "world", id: "anyone")])
            scene.proxy.clearRequests()
            let waiter = Holder.writes(scene.lock)
            try await scene.proxy.nextRequest { $0.isListing && $0.path == LockScene.path }
            // The first listing came with the create; the second one watches.
            try await scene.proxy.nextRequest { $0.isListing && $0.path == LockScene.path }
            #expect(!waiter.isGranted)
            try await scene.other.delete(node.path)
            _ = try await waiter.lease
            try await waiter.finish()
        }
    }

    @Test func `with the server down at the start the lock waits for it`() async throws {
        try await withTestServer { server in
            let proxy = try FaultProxy(to: server)
            await proxy.refuse()
            let configuration = try ZooKeeperClientConfiguration(connectionString: proxy.connectionString)
            try await withZooKeeperClient(configuration: configuration) { client in
                let holder = Holder.writes(try DistributedReadWriteLock(client: client, path: "/lock"))
                #expect(client.state == .connecting && !holder.isGranted)
                await proxy.accept()
                #expect(try await holder.lease.isValid)
                try await holder.finish()
            }
            await proxy.close()
        }
    }

    @Test func `when the client stops a waiter fails with that`() async throws {
        try await LockScene.withWaiter { scene, holder, waiter in
            scene.client.triggerGracefulShutdown()
            #expect(await (waiter.error() as? ZooKeeperError)?.code == .clientStopped)
            try await scene.contenders { $0.count == 1 }
            try await holder.finish()
        }
    }
}
