import MetricsTestKit
import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// What the metrics show of a grant, without an ensemble.
@Suite struct GrantMeterTests {
    private struct Scene {
        let metrics = TestMetrics()
        let clock = StillClock()
        let client: ZooKeeperClient
        let session: SessionHandle

        init() throws {
            client = try .withoutServer(clock: clock, metricsFactory: metrics)
            session = .handMade(of: client)
            session.extend(to: MonotonicInstant(nanoseconds: 0) + .seconds(4), timeout: .seconds(4))
        }

        func lock(_ name: String?, _ paths: String...) -> HeldLock {
            let nodes = paths.map { session.holdWatched($0, czxid: 7, of: client) }
            return HeldLock(
                Holding(nodes), name: name.flatMap { ContenderName($0) }, cleanUp: nodes.map { .node(path: $0.path) },
                key: HeldLock.Key(client, "/lock"), client: client, data: [],
                requested: MonotonicInstant(nanoseconds: 0))
        }

        func grants(_ recipe: String) -> Int64 {
            metrics.counterTotal(label: "zookeeper.grants", dimensions: [("recipe", recipe)])
        }

        func losses(_ recipe: String, _ reason: String) -> Int64 {
            metrics.counterTotal(
                label: "zookeeper.grant.losses", dimensions: [("recipe", recipe), ("reason", reason)])
        }

        func held(_ recipe: String) throws -> Double? {
            try metrics.expectMeter("zookeeper.grants.held", [("recipe", recipe)]).values.last
        }

        func times(_ what: String, _ recipe: String) throws -> [Int64] {
            try metrics.expectTimer("zookeeper.grant.\(what).seconds", [("recipe", recipe)]).values
        }
    }

    @Test func `a lock is counted with the time of the wait, and once released with that of the hold`() throws {
        let scene = try Scene()
        scene.clock.set(.seconds(1))
        let lock = scene.lock("_c_a-lock-0000000007", "/lock/a")
        #expect(scene.grants("mutex") == 1)
        #expect(try scene.held("mutex") == 1)
        #expect(try scene.times("wait", "mutex") == [1_000_000_000])
        #expect(try scene.times("hold", "mutex").isEmpty)
        scene.clock.set(.seconds(3))
        #expect(lock.enter())
        lock.beginToLeave()
        #expect(try scene.held("mutex") == 1)
        lock.beginToLeave()
        #expect(try scene.held("mutex") == 0)
        #expect(try scene.times("hold", "mutex") == [2_000_000_000])
        #expect(scene.losses("mutex", "znodeDeleted") == 0)
    }

    @Test func `a loss is counted once with its reason, and ends the hold`() throws {
        let scene = try Scene()
        let lock = scene.lock(nil, "/leases/a", "/leases/b")
        scene.clock.set(.seconds(1))
        for node in lock.holding.nodes { node.lose(.znodeDeleted) }
        #expect(scene.losses("semaphore", "znodeDeleted") == 1)
        #expect(try scene.held("semaphore") == 0)
        scene.clock.set(.seconds(2))
        lock.beginToLeave()
        #expect(try scene.times("hold", "semaphore") == [1_000_000_000])
        #expect(scene.grants("semaphore") == 1)
    }

    @Test func `a lock that is released after its deadline was lost`() throws {
        let scene = try Scene()
        let lock = scene.lock("_c_a-__READ__0000000007", "/lock/a")
        scene.clock.set(.seconds(5))
        lock.beginToLeave()
        #expect(scene.losses("readLock", "deadlinePassed") == 1)
    }

    @Test func `a downgraded lock stays the grant of a write lock`() throws {
        let scene = try Scene()
        let lock = scene.lock("_c_a-__WRIT__0000000007", "/lock/a")
        let read = scene.session.holdWatched("/lock/read", czxid: 9, of: scene.client)
        #expect(lock.downgrade(to: read, cleanUp: .node(path: read.path)))
        #expect(try scene.held("writeLock") == 1)
        read.lose(.notWatched)
        #expect(try scene.held("writeLock") == 0)
        #expect(scene.losses("writeLock", "notWatched") == 1)
        #expect(scene.grants("readLock") == 0)
    }
}
