import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.4: what the package's own tasks and threads may do to each other.
extension HazardTests {
    @Test func `H44 whoever takes a lock on an event keeps no other event from coming`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let holder = Holder.writes(scene.otherLock)
            _ = try await holder.lease
            var handlers: [Task<Void, any Error>] = []
            for number in 0..<20 {
                try await scene.other.create("/event-\(number)")
                let watch = try await scene.client.watchData(at: "/event-\(number)").watch
                handlers.append(
                    Task {
                        _ = try await watch.event()
                        try await scene.lock.withWriteLock { #expect($0.isValid) }
                    })
            }
            for number in 0..<20 { try await scene.other.setData([1], at: "/event-\(number)") }
            // All of them wait within what they do on their event.
            try await scene.contenders { $0.count == 21 }
            let watch = try await scene.client.watchData(at: "/event-0").watch
            try await scene.other.setData([2], at: "/event-0")
            #expect(try await watch.event().kind == .dataChanged)
            var states = scene.client.states.makeAsyncIterator()
            await scene.proxy.cut()
            while await states.next()?.isSuspended == false {}
            while await states.next()?.isConnected == false {}
            try await holder.finish()
            for handler in handlers { try await handler.value }
        }
    }

    /// Where a contender is when the one in front of it goes.
    enum Interleaving: CaseIterable {
        /// Its requests to join are on their way.
        case joining
        /// It has not been told yet who is in front of it.
        case joined
        /// Its request to watch the one in front is on its way.
        case watching
        /// It has not been told yet that the watch is set.
        case watched
        /// It waits.
        case waiting
        /// The event is on its way.
        case told
    }

    @Test(arguments: Interleaving.allCases)
    func `H45 no wake-up is missed, whenever the predecessor goes`(point: Interleaving) async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            try await scene.lock.withWriteLock { _ in }
            let holder = Holder.writes(scene.otherLock)
            _ = try await holder.lease
            let waiter = try await join(scene, upTo: point)
            let frames = scene.proxy.counters.framesToClient
            try await holder.finish()
            if point == .told { try await scene.proxy.waitUntil { $0.framesToClient > frames } }
            await scene.proxy.release(.both)
            #expect(try await waiter.lease.isValid)
            // One each: for the first lock, for the holder, for the waiter.
            #expect(try await scene.creations() == 3)
            try await waiter.finish()
        }
    }

    /// Has the client behind the proxy join the queue, and holds the network when it has come to a point.
    private func join(_ scene: LockScene, upTo point: Interleaving) async throws -> Holder {
        let proxy = scene.proxy
        let predecessor = scene.path(try await scene.contenders()[0])
        proxy.clearRequests()
        let before = proxy.counters.framesToClient
        if point == .waiting || point == .told {
            let waiter = Holder.writes(scene.lock)
            try await proxy.nextRequest { $0.operation == .getData && $0.path == predecessor }
            _ = try await scene.client.exists(at: "/")
            if point == .told { await proxy.hold(.toClient) }
            return waiter
        }
        await proxy.hold(point == .joining ? .toServer : .toClient)
        let waiter = Holder.writes(scene.lock)
        try await proxy.nextRequest { $0.operation == .createWithStat }
        if point == .joining { return waiter }
        try await proxy.waitUntil { $0.framesToClient >= before + 2 }
        if point == .joined { return waiter }
        await proxy.hold(.toServer)
        await proxy.release(.toClient)
        try await proxy.nextRequest { $0.operation == .getData && $0.path == predecessor }
        if point == .watching { return waiter }
        let answered = proxy.counters.framesToClient
        await proxy.hold(.toClient)
        await proxy.release(.toServer)
        try await proxy.waitUntil { $0.framesToClient > answered }
        return waiter
    }

    @Test func `H49 a lease is released by another task than acquired it`() async throws {
        try await LockScene.with { scene in
            let mutex = try scene.mutex
            let lease = try await Task { try await mutex.acquire(timeout: .seconds(10)) }.value
            #expect(lease.isValid && lease.timeLeft > .zero && lease.path == LockScene.path)
            let outcome = await Task.detached { await lease.release() }.value
            #expect(outcome == .deleted)
            #expect(!lease.isValid && lease.timeLeft == .zero && lease.validUntil == nil)
            #expect(await lease.release() == outcome)
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `H50 an operation of several steps takes one budget of time, not one a step`() async throws {
        let proxy = try FaultProxy(to: TestServer.current)
        var configuration = try ZooKeeperClientConfiguration(
            connectionString: proxy.connectionString, sessionTimeout: .seconds(30))
        configuration.retry.timeout = .seconds(1)
        try await withZooKeeperClient(configuration: configuration) { client in
            _ = try await client.exists(at: "/")
            // Creates, finds the parent missing, and is never answered again.
            await proxy.dropNextRequest { $0.operation == .createContainer }
            let begin = ContinuousClock.now
            let creation = Task { try await client.create("/h50/a/b/c", parents: true) }
            try await proxy.nextDropped()
            await proxy.hold(.toServer)
            let error = await #expect(throws: ZooKeeperError.self) { try await creation.value }
            #expect(error?.code == .operationTimeout)
            #expect(ContinuousClock.now - begin < .milliseconds(1800))
            await proxy.release()
        }
        await proxy.close()
    }

    @Test func `H51 at the end everybody who waits is told`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let holder = Holder.writes(scene.otherLock)
            _ = try await holder.lease
            let client = try makeTestClient(scene.proxy.connectionString)
            let running = Task { try await client.run() }
            let lock = try DistributedReadWriteLock(client: client, path: LockScene.path)
            let waiters = (0..<100).map { _ in Holder.writes(lock) }
            try await scene.contenders { $0.count == 101 }
            // Nor are these answered any more.
            await scene.proxy.hold(.toServer)
            scene.proxy.clearRequests()
            let reads = (0..<100).map { _ in Task { try await client.data(at: "/asked") } }
            for _ in reads { try await scene.proxy.nextRequest { $0.path == "/asked" } }
            running.cancel()
            for waiter in waiters { #expect(await (waiter.error() as? ZooKeeperError)?.code == .clientStopped) }
            for read in reads {
                let error = await #expect(throws: ZooKeeperError.self) { try await read.value }
                #expect(error?.code == .clientStopped)
            }
            try await running.value
            await scene.proxy.release()
            try await scene.contenders { $0.count == 1 }
            try await holder.finish()
        }
    }
}
