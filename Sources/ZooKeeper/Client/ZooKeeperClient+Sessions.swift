package import Logging
internal import Synchronization

extension ZooKeeperClient {
    /// The logger that the client was created with.
    package var logger: Logger { core.logger }

    /// The clock of all deadlines.
    package var clock: any MonotonicClock { core.clock }

    /// The source of all random numbers of the client.
    package var randomness: Randomness { core.randomness }

    /// Waits until the client is connected, and returns the current session.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.clientStopped` or `.authenticationFailed`, or `CancellationError`.
    package func connectedSession() async throws -> SessionHandle {
        if let session = presentConnection?.session { return session }
        let core = core
        let session: SessionHandle? = await race(
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

    /// The current session, and the number of the current connection among all connections of the client.
    ///
    /// A result that was received under one number may be outdated under another. `nil` while there is no connection.
    package var presentConnection: (session: SessionHandle, number: Int)? {
        core.state.withLock { state in state.grantingSession.map { ($0, state.connections.establishments) } }
    }

    /// The ID and the password of the current session, which allow another connection to resume it; for tests.
    package var sessionCredential: (id: Int64, password: [UInt8])? {
        core.state.withLock { $0.machine.credential }
    }

    /// The maximum size of the paths of all watches of the client together, in bytes; each counts with its chroot and 4
    /// bytes.
    package var watchRoom: Int { configuration.maximumPacketSize - WatchTable.packetOverhead }

    /// Waits until the loop that sends heartbeats has made a turn, which shows that the upkeep of the session is alive.
    ///
    /// - Throws: `CancellationError`.
    package func awaitUpkeep() async throws {
        let turn = OneShot<Void>()
        core.call(after: .zero) { turn.set(()) }
        try await turn.wait()
    }

    /// Whether the client is currently connected.
    package var isConnected: Bool { core.state.withLock { $0.isConnected } }
}

extension ClientCore.State {
    /// The session in which something can be granted; `nil` without a connection, and while the client is closing.
    var grantingSession: SessionHandle? {
        guard phase == .idle || phase == .running, isConnected else { return nil }
        return live
    }
}
