import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.1: how znodes are created, recognized and deleted.
extension HazardTests {
    @Test(arguments: [false, true])
    func `H01 a create whose answer is lost leaves no znode that nobody manages`(isCancelled: Bool) async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            try await scene.lock.withWriteLock { _ in }
            await scene.proxy.refuse()
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .createWithStat }
            let holder = Holder.writes(scene.lock)
            _ = try await scene.proxy.nextDropped()
            await scene.client.state { $0.isSuspended }
            let names = try await scene.contenders()
            #expect(names.count == 1)
            if isCancelled {
                holder.cancel()
                #expect(await holder.error() is CancellationError)
                await scene.proxy.accept()
            } else {
                await scene.proxy.accept()
                let lease = try await holder.lease
                #expect(try await scene.contenders() == names)
                #expect(try await scene.czxid(of: names[0]) == lease.fencingToken.rawValue)
                try await holder.finish()
            }
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test func `H03 a create that timed out is looked for as one whose connection was lost`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(4)) { scene in
            try await scene.lock.withWriteLock { _ in }
            await scene.proxy.hold(.toClient)
            let holder = Holder.writes(scene.lock)
            let names = try await scene.contenders { $0.count == 1 }
            // Two thirds of the session timeout without an answer: the C client calls that an operation's timeout.
            await scene.client.state { $0.isSuspended }
            await scene.proxy.release(.both)
            let lease = try await holder.lease
            #expect(try await scene.contenders() == names)
            #expect(try await scene.czxid(of: names[0]) == lease.fencingToken.rawValue)
            #expect(try await scene.creations() == 2)
            try await holder.finish()
        }
    }

    @Test func `H04 a znode with the own name that another session owns is deleted, not adopted`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            try await scene.lock.withWriteLock { _ in }
            await scene.proxy.refuse()
            await scene.proxy.dropNextRequest(thenCut: true) { $0.operation == .createWithStat }
            let holder = Holder.writes(scene.lock)
            let base = try #require(try await scene.proxy.nextDropped()?.path)
            // As if the request had been executed in an earlier session that still lives at the server.
            let old = try await scene.other.create(base, mode: .ephemeralSequential)
            await scene.proxy.accept()
            let lease = try await holder.lease
            let names = try await scene.contenders { $0.count == 1 }
            let stat = try #require(try await scene.other.exists(at: scene.path(names[0])))
            #expect(stat.ephemeralOwner == scene.client.session?.id)
            #expect(stat.czxid.rawValue == lease.fencingToken.rawValue)
            #expect(stat.czxid > old.stat.czxid)
            try await holder.finish()
        }
    }

    @Test(arguments: [false, true])
    func `H07 below a chroot the znode of a lost answer is found by its own path`(isCancelled: Bool) async throws {
        try await LockScene.with(sessionTimeout: .seconds(10), chroot: "/app") { scene in
            try await scene.lock.withWriteLock { _ in }
            await scene.proxy.refuse()
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .createWithStat }
            let holder = Holder.writes(scene.lock)
            // A prefix that was put in front twice would be found nowhere.
            #expect(try await scene.proxy.nextDropped()?.path?.hasPrefix("/app/app/lock/_c_") == true)
            await scene.client.state { $0.isSuspended }
            let names = try await scene.contenders()
            #expect(names.count == 1)
            if isCancelled { holder.cancel() }
            await scene.proxy.accept()
            if !isCancelled {
                let lease = try await holder.lease
                #expect(try await scene.czxid(of: names[0]) == lease.fencingToken.rawValue)
                try await holder.finish()
            }
            try await scene.contenders { $0.isEmpty }
            #expect(try await scene.creations() == 2)
        }
    }

    @Test(arguments: [false, true])
    func `H09 a create that is overtaken by the end leaves nothing`(isShutDown: Bool) async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            try await scene.lock.withWriteLock { _ in }
            await scene.proxy.hold(.toClient)
            let holder = Holder.writes(scene.lock)
            try await scene.contenders { $0.count == 1 }
            if isShutDown { scene.client.triggerGracefulShutdown() } else { holder.cancel() }
            await scene.proxy.release(.both)
            #expect(await holder.error() != nil)
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test func `H10 reconnects during a create make no second one`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            try await scene.lock.withWriteLock { _ in }
            await scene.proxy.hold(.toClient)
            let holder = Holder.writes(scene.lock)
            let names = try await scene.contenders { $0.count == 1 }
            for _ in 0..<10 {
                let connections = scene.proxy.counters.connections
                await scene.proxy.cut()
                await scene.proxy.release(.both)
                try await scene.proxy.waitForConnections(connections + 1)
            }
            let lease = try await holder.lease
            #expect(try await scene.contenders() == names)
            #expect(try await scene.czxid(of: names[0]) == lease.fencingToken.rawValue)
            // One for the first lock, and one for this.
            #expect(try await scene.creations() == 2)
            try await holder.finish()
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
            #expect(lease.state == .releasing)
            #expect(try await scene.contenders().count == 1)
            await scene.proxy.accept()
            try await scene.contenders { $0.isEmpty }
            for await state in lease.states where state == .released { break }
            #expect(lease.state == .released)
        }
    }

    @Test func `H12 a thousand deletes wait for the server calmly, and all happen`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(12)) { scene in
            try await scene.other.create("/many")
            let locks = try (0..<1000).map { try DistributedReadWriteLock(client: scene.client, path: "/many/\($0)") }
            let holders = locks.map { Holder.writes($0) }
            var leases: [Lease] = []
            for holder in holders { leases.append(try await holder.lease) }
            await scene.server.stop()
            await scene.client.state { $0.isSuspended }
            for holder in holders { try await holder.finish() }
            #expect(leases.allSatisfy { $0.state == .releasing })

            let load = Load(scene.proxy)
            try await scene.proxy.waitForConnections(load.connections + 10)
            #expect(load.cores < 0.5)
            #expect(scene.proxy.counters.framesToServer - load.framesToServer <= 10 + 10)

            try await scene.server.start()
            for lease in leases {
                for await state in lease.states where state == .released { break }
                #expect(lease.state == .released)
            }
            for lock in locks {
                let stat = try await scene.other.exists(at: lock.path)
                #expect(stat?.childrenCount == 0)
            }
        }
    }
}
