import Glibc
import Logging
import Synchronization
import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// The gate itself under real threads: memory order and the steps of `tryEnter` matter here.
///
/// Threads are delayed where they read the clock, which `tryEnter` does between its looks. So the order of its steps shows
/// within a few hundred openings: counting before looking, and the second look of a renewal.
@Suite(.timeLimit(.minutes(5))) struct EventGateStressTests {
    private final class Scene: Sendable {
        let clock = DelayingClock()
        let client: ZooKeeperClient
        let gate: EventGate
        let session: SessionHandle
        let isOver = Atomic(false)
        /// Written inside by everybody: whoever is inside after the closing shows here.
        let inside = Atomic(0)
        let entered = Atomic(0)

        init() throws {
            client = try .withoutServer(clock: clock)
            var configuration = ExclusiveMode.Configuration()
            configuration.eventAllowance = .zero
            gate = try ExclusiveMode(client: client, path: "/base", configuration: configuration).gate(id: "one")
            session = .handMade(of: client)
        }

        /// Opens the gate with a znode that is watched.
        func open(_ token: Int64) -> GateGrant {
            let hold = HeldNode(
                path: "/base/locks/\(token)", czxid: ZXID(rawValue: token), session: session, core: client.core,
                sureUntil: .distantPast)
            hold.confirmWatch()
            let grant = gate.prepare(hold)
            gate.open(grant)
            return grant
        }

        func processEvents() -> Int {
            while !isOver.load(ordering: .relaxed) {
                guard let permit = gate.tryEnter() else {
                    sched_yield()
                    continue
                }
                inside.add(1, ordering: .relaxed)
                entered.add(1, ordering: .relaxed)
                inside.subtract(1, ordering: .relaxed)
                permit.leave()
            }
            return 0
        }

        /// Proves the session again and again for a moment: admissions are renewed all the time, also while the gate closes.
        func prove() -> Int {
            var generator = SystemRandomNumberGenerator()
            while !isOver.load(ordering: .relaxed) {
                let span = Duration.microseconds(Int.random(in: 0...200, using: &generator))
                session.extend(to: clock.undelayed + span, timeout: .seconds(4))
                session.validityChanged()
                pause(.microseconds(50))
            }
            return 0
        }

        /// Closes, waits until nobody is counted, looks whether somebody is inside all the same, opens again.
        func close(rounds: Int) -> Int {
            var violations = 0
            for round in 1...rounds {
                let earlier = entered.load(ordering: .relaxed)
                let grant = open(Int64(round))
                // At least one event passes in each round, however busy the machine is.
                while entered.load(ordering: .relaxed) == earlier { pause(.microseconds(100)) }
                gate.close(grant, .signalled)
                while gate.counter.total > 0 { pause(.microseconds(10)) }
                let before = entered.load(ordering: .relaxed)
                for _ in 0..<4 {
                    if inside.load(ordering: .relaxed) != 0 { violations += 1 }
                    pause(.microseconds(20))
                }
                if entered.load(ordering: .relaxed) != before { violations += 1 }
                grant.hold.release()
            }
            isOver.store(true, ordering: .relaxed)
            return violations
        }
    }

    @Test func `nobody is inside a gate that has closed and counts nobody, however threads are delayed`() async throws {
        let scene = try Scene()
        let violations = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<3 { group.addTask { await onThread { scene.processEvents() } } }
            group.addTask { await onThread { scene.prove() } }
            group.addTask { await onThread { scene.close(rounds: 2_000) } }
            return await group.reduce(0, +)
        }
        #expect(violations == 0)
        #expect(scene.gate.counter.total == 0)
        #expect(scene.entered.load(ordering: .relaxed) >= 2_000)
        #expect(scene.gate.tryEnter() == nil)
    }
}

/// A clock that now and then keeps who reads it waiting for a while.
private struct DelayingClock: MonotonicClock {
    private let system = SystemMonotonicClock()

    var undelayed: MonotonicInstant { system.now }

    var now: MonotonicInstant {
        let now = system.now
        switch now.nanoseconds % 17 {
        case 0: sched_yield()
        case 1:
            // Others run meanwhile, also on a machine of one core.
            pause(.microseconds(50))
        default: break
        }
        return now
    }

    func sleep(until deadline: MonotonicInstant) async throws { try await system.sleep(until: deadline) }
}

/// Blocks the calling thread.
private func pause(_ span: Duration) {
    var span = timespec(tv_sec: 0, tv_nsec: Int(span.nanoseconds))
    unsafe nanosleep(&span, nil)
}
