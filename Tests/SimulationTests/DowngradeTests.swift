import Simulations
import Synchronization
import Testing
import ZooKeeperSimulator

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// Write locks that are downgraded to read locks while another task releases them.
@Suite struct DowngradeTests {
    /// The state after one downgrade and one release.
    private struct Outcome: Sendable {
        /// The error code of the downgrade, or "done".
        var downgrade: String
        /// The number of znodes in the lock's queue.
        var znodes: Int
        /// Whether this process still keeps the lock, for example as a read lock for others to share.
        var isKept: Bool
    }

    @Test func `a release at any time during a downgrade leaves no znode and no shared read lock`() async throws {
        let outcomes = try await onSimulationThread {
            let scene = try ExclusiveScene()
            let outcomes = Broadcast<[Outcome]>([])
            let process = try scene.start("p") { client in
                let lock = try DistributedReadWriteLock(client: client, path: "/lock")
                for step in 0..<100 {
                    outcomes.send(outcomes.current + [try await Self.run(lock, client, .microseconds(step * 60))])
                }
            }
            scene.simulation.run(until: scene.simulation.now + .seconds(600)) { process.isRunning }
            try #require(!process.isRunning && scene.simulation.breakdown == nil)
            return outcomes.current
        }
        try #require(outcomes.count == 100)
        #expect(outcomes.allSatisfy { $0.znodes == 0 && !$0.isKept }, "\(outcomes)")
        // The release comes before the read znode exists, and after the downgrade is complete.
        #expect(Set(outcomes.map(\.downgrade)) == ["released", "done"])
    }

    /// Acquires the write lock, and releases it some time after its downgrade has started.
    private static func run(
        _ lock: DistributedReadWriteLock, _ client: ZooKeeperClient, _ delay: Duration
    ) async throws -> Outcome {
        let (downgrade, place) = try await downgrade(lock, client, releasingAfter: delay)
        try await client.clock.sleep(until: client.clock.now + .seconds(2))
        return Outcome(
            downgrade: downgrade, znodes: try await client.exists(at: "/lock")?.childrenCount ?? 0,
            isKept: place.isAlive)
    }

    private static func downgrade(
        _ lock: DistributedReadWriteLock, _ client: ZooKeeperClient, releasingAfter delay: Duration
    ) async throws -> (String, WeakLock) {
        let lease = try await lock.acquireWriteLock()
        let downgrade = Task {
            do {
                try await lease.downgrade()
                return "done"
            } catch {
                return (error as? RecipeError).map { "\($0.code)" } ?? "\(error)"
            }
        }
        try await client.clock.sleep(until: client.clock.now + delay)
        await lease.release()
        return (await downgrade.value, WeakLock(lease.place))
    }
}

/// A held lock that others may keep in memory.
private struct WeakLock: Sendable {
    private weak let place: HeldLock?

    init(_ place: HeldLock) { self.place = place }

    var isAlive: Bool { place != nil }
}
