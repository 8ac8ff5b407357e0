package import Logging
internal import Synchronization

extension ZooKeeperClient {
    /// The logger that the client was made with.
    package var logger: Logger { core.logger }

    /// The clock that all deadlines are on.
    package var clock: any MonotonicClock { core.clock }

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

    /// Whether the client is connected at this moment.
    package var isConnected: Bool { core.state.withLock { $0.isConnected } }
}
