import Logging
import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.3: what holds, and what ends, with connections and sessions.
extension HazardTests {
    @Test func `H05 a waiter is never granted the lock on its previous session's node`() async throws {
        try await LockScene.withWaiter { scene, holder, waiter in
            let old = try await scene.contenders()[1]
            try await scene.server.expireSession(of: scene.client)
            let names = try await scene.contenders { $0.count == 2 && !$0.contains(old) }
            #expect(!waiter.isGranted)
            #expect(names[1].prefix != old.prefix)
            try await holder.finish()
            let lease = try await waiter.lease
            let stat = try await scene.other.exists(at: scene.path(names[1]))
            #expect(stat?.ephemeralOwner == scene.client.session?.id)
            #expect(stat?.czxid.rawValue == lease.fencingToken.rawValue)
            try await waiter.finish()
        }
    }

    @Test func `H27 a holder whose session expires is told, and the next one gets the lock`() async throws {
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

    @Test func `H34 twenty cuts move nothing`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let names = try await scene.contenders()
            scene.proxy.clearRequests()
            for _ in 0..<20 {
                let connections = scene.proxy.counters.connections
                await scene.proxy.cut()
                try await scene.proxy.waitForConnections(connections + 1)
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

    @Test func `H35 a short outage keeps the place`() async throws {
        try await LockScene.withWaiter { scene, holder, waiter in
            let names = try await scene.contenders()
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            // The turn comes while nobody can be told.
            try await holder.finish()
            #expect(!waiter.isGranted)
            await scene.proxy.accept()
            #expect(try await waiter.lease.isValid)
            #expect(try await scene.contenders() == [names[1]])
            try await waiter.finish()
        }
    }

    @Test func `H42 a holder whose znode is deleted stops at once`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            try await scene.other.delete(scene.path(scene.contenders()[0]))
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            #expect(!lease.isValid)
            #expect(
                await holder.lockError()
                    == RecipeError(.lost, in: .lock, path: LockScene.path, lossReason: .znodeDeleted))
        }
    }

    @Test func `H30 a slow reader of the states misses neither a session's end nor the last state`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(4)) { scene in
            _ = try await scene.client.exists(at: "/")
            var (slow, quick) = (scene.client.states.makeAsyncIterator(), scene.client.states.makeAsyncIterator())
            for round in 1...100 {
                if round == 50 {
                    try await scene.server.expireSession(of: scene.client)
                    while await quick.next()?.isExpired == false {}
                } else {
                    await scene.proxy.cut()
                    while await quick.next()?.isSuspended == false {}
                }
                while await quick.next()?.isConnected == false {}
            }
            var told: [SessionState] = []
            while told.last != scene.client.state || told.count < 201 { told.append(try #require(await slow.next())) }
            #expect(told.count { $0.isSuspended } >= 99)
            #expect(told.count { $0.isExpired } == 1)
            let end = try #require(told.firstIndex { $0.isExpired })
            #expect(told[..<end].allSatisfy { $0.session?.epoch == 1 })
            #expect(told[(end + 1)...].filter(\.isConnected).allSatisfy { $0.session?.epoch == 2 })
            #expect(told.last?.isConnected == true)
        }
    }

    @Test func `H31 during an outage little is done and little is logged, and then all goes on`() async throws {
        try await withTestServer { server in
            let (proxy, lines) = (try FaultProxy(to: server), CountingLog())
            let configuration = try ZooKeeperClientConfiguration(
                connectionString: proxy.connectionString, sessionTimeout: .seconds(12))
            let logger = Logger(label: "counted") { _ in lines }
            try await withZooKeeperClient(configuration: configuration, logger: logger) { client in
                let lock = try DistributedReadWriteLock(client: client, path: "/lock")
                let holder = Holder.writes(lock)
                _ = try await holder.lease
                let waiter = Holder.writes(lock)
                try await withNodeCache(client: client, path: "/cached") { cache in
                    await cache.liveAbsence()
                    await server.stop()
                    await client.state { $0.isSuspended }
                    let (load, logged) = (Load(proxy), lines.count)
                    // An outage of any length is a repetition of these.
                    try await proxy.waitForConnections(load.connections + 10)
                    #expect(load.cores < 0.5)
                    #expect(lines.count - logged <= 20)
                    try await server.start()
                    await cache.liveAbsence()
                }
                try await holder.finish()
                #expect(try await waiter.lease.isValid)
                try await waiter.finish()
            }
            await proxy.close()
        }
    }
}

/// Counts what is logged at the levels that are on by default.
private final class CountingLog: LogHandler, Sendable {
    private let lines = Atomic(0)

    var count: Int { lines.load(ordering: .relaxed) }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .info }
        set {}
    }
    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        lines.add(1, ordering: .relaxed)
    }
}
