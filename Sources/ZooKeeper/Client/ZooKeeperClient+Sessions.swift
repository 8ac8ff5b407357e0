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
        if let session = presentConnection?.session { return session }
        let core = core
        let session: LiveSession? = await race(
            {
                for await _ in core.states.follow() {
                    if let session = core.state.withLock({ $0.grantingSession }) { return session }
                }
                return nil
            },
            {
                try? await core.closing.wait()
                return nil
            })
        if let session { return session }
        if let failure = core.state.withLock({ $0.failure }) { throw failure }
        try Task.checkCancellation()
        throw ZooKeeperError(.clientStopped)
    }

    /// The connection that stands at this moment: its session, and its number among all that the client has had.
    ///
    /// What was answered under one number is not known to be the newest under another. `nil` while there is none.
    package var presentConnection: (session: LiveSession, number: Int)? {
        core.state.withLock { state in state.grantingSession.map { ($0, state.connections.establishments) } }
    }

    /// The present session's id and password, with which another connection can take it over; for tests.
    package var sessionCredential: (id: Int64, password: [UInt8])? {
        core.state.withLock { $0.machine.credential }
    }

    /// What the paths of all watches of the client may take together, each with its chroot and 4 bytes.
    package var watchRoom: Int { configuration.maximumPacketSize - WatchTable.packetOverhead }

    /// Whether the client is connected at this moment.
    package var isConnected: Bool { core.state.withLock { $0.isConnected } }
}

extension ClientCore.State {
    /// The session in which something can be granted; `nil` without a connection, and in a client that is to end.
    var grantingSession: LiveSession? {
        guard phase == .idle || phase == .running, isConnected else { return nil }
        return live
    }
}
