import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// The permit of a command behind a gate; there is none while the command has paused.
final class GatedPlace: Sendable {
    private struct State {
        var permit: EventPermit?
        /// Whether the command was stopped together with this program and not continued.
        var isStopped = false
    }

    private let state: Mutex<State>

    init(_ permit: EventPermit) { state = Mutex(State(permit: permit)) }

    var permit: EventPermit? { state.withLock { $0.permit } }

    func take(_ permit: EventPermit) { state.withLock { $0.permit = permit } }

    func leave() {
        let permit = state.withLock { state in
            defer { state.permit = nil }
            return state.permit
        }
        permit?.leave()
    }

    /// Whether a command that was stopped together with this program may continue: not beside a window.
    func mayContinue() -> Bool {
        state.withLock { state in
            guard let permit = state.permit else {
                state.isStopped = true
                return false
            }
            return permit.isValid
        }
    }

    /// Returns whether the command was stopped and not continued, once.
    func takeStop() -> Bool {
        state.withLock { state in
            defer { state.isStopped = false }
            return state.isStopped
        }
    }

    /// Waits until the validity that the command was ended for is over.
    ///
    /// - Returns: The reason for the loss; `nil` if the permit is not lost after all.
    func awaitLoss() async -> LossReason? {
        guard let permit else { return nil }
        if let until = permit.validUntil { try? await Task.sleep(until: until, clock: .continuous) }
        guard !permit.isValid else { return nil }
        let clock = SystemMonotonicClock()
        return try? await clock.run(until: clock.now + .seconds(1)) { try await permit.waitUntilLost() }
    }
}
