import Synchronization

@testable import ZooKeeper

/// A clock that stands still until a test moves it on.
final class ManualClock: MonotonicClock {
    private struct Sleeper {
        var deadline: MonotonicInstant
        var end: OneShot<Void>
    }

    private struct State {
        var now = MonotonicInstant(nanoseconds: 0)
        var sleepers: [Sleeper] = []
    }

    private let state = Mutex(State())
    private let sleeperCount = Broadcast(0)

    var now: MonotonicInstant { state.withLock { $0.now } }

    func sleep(until deadline: MonotonicInstant) async throws {
        let end = OneShot<Void>()
        let count = state.withLock { state in
            guard state.now < deadline else { return 0 }
            state.sleepers.append(Sleeper(deadline: deadline, end: end))
            return state.sleepers.count
        }
        guard count > 0 else { return }
        sleeperCount.send(count)
        // One that was cancelled leaves nothing behind, as with the system's clock.
        defer { state.withLock { state in state.sleepers.removeAll { $0.end === end } } }
        try await end.wait()
    }

    /// Moves on, and ends every sleep that is due.
    func advance(by duration: Duration) {
        let due = state.withLock { state in
            state.now = state.now + duration
            let now = state.now
            defer { state.sleepers.removeAll { $0.deadline <= now } }
            return state.sleepers.filter { $0.deadline <= now }
        }
        for sleeper in due { sleeper.end.set(()) }
    }

    /// Whether somebody sleeps until exactly this instant.
    func isSleeper(until deadline: MonotonicInstant) -> Bool {
        state.withLock { state in state.sleepers.contains { $0.deadline == deadline } }
    }

    /// Returns when somebody sleeps until exactly this instant.
    func waitForSleeper(until deadline: MonotonicInstant) async {
        // Each sleep is told, also when the number of sleepers stays the same.
        for await _ in sleeperCount.follow() {
            if isSleeper(until: deadline) { return }
        }
    }

    /// Returns when somebody sleeps.
    func waitForSleeper() async {
        for await count in sleeperCount.follow() where count > 0 { return }
    }
}
