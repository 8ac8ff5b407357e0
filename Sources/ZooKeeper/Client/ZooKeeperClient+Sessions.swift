package import Logging
internal import Synchronization

extension ZooKeeperClient {
    /// The logger that the client was made with.
    package var logger: Logger { core.logger }

    /// The clock that all deadlines are on.
    package var clock: any MonotonicClock { core.clock }

    /// Where all that happens by chance draws its numbers.
    package var randomness: Randomness { core.randomness }

    /// The present session, once there is one that is connected.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.clientStopped` or `.authenticationFailed`, or `CancellationError`.
    package func liveSession() async throws -> LiveSession {
        for await state in core.states.follow() {
            if state.isClosed { break }
            if state.isAuthenticationFailed { throw ZooKeeperError(.authenticationFailed) }
            if state.isConnected, let live = core.state.withLock({ $0.isConnected ? $0.live : nil }) { return live }
        }
        try Task.checkCancellation()
        throw ZooKeeperError(.clientStopped)
    }

    /// The connection that stands at this moment: its session, and its number among all that the client has had.
    ///
    /// What was answered under one number is not known to be the newest under another. `nil` while there is none.
    package var presentConnection: (session: LiveSession, number: Int)? {
        core.state.withLock { state in
            guard state.isConnected, let live = state.live else { return nil }
            return (live, state.establishments)
        }
    }

    /// The present session's id and password, with which another connection can take it over; for tests.
    package var sessionCredential: (id: Int64, password: [UInt8])? {
        core.state.withLock { $0.machine.credential }
    }

    /// Whether the client is connected at this moment.
    package var isConnected: Bool { core.state.withLock { $0.isConnected } }
}
