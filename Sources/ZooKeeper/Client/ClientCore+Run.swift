internal import DequeModule
internal import Logging
internal import Synchronization
internal import ZooKeeperTransport

extension ClientCore {
    private struct Resolution: Sendable {
        var addresses: [String]
        var failures: [String]
    }

    /// Maintains the sessions until the client is stopped.
    ///
    /// The upkeep of the session runs on the clock's own thread if there is one, because other tasks of the program may
    /// keep the cooperative pool busy for longer than a session timeout.
    ///
    /// - Throws: ``ZooKeeperError`` if the server refused a credential, if there was no first connection within the
    ///   limit, or if the client was run before.
    func run() async throws {
        try begin()
        // Not a child task: after a cancellation, heartbeats continue until every holder has released what it holds.
        let upkeep = Task(executorPreference: clock.upkeepExecutor) {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.heartbeats() }
                group.addTask { await self.janitor.run() }
                let failure = await self.connections()
                self.janitor.finish()
                group.cancelAll()
                return failure
            }
        }
        let failure = await withTaskCancellationHandler {
            await upkeep.value
        } onCancel: {
            close(.afterHolders)
        }
        end()
        if let failure { throw failure }
    }

    /// Starts the run.
    ///
    /// If the client was stopped before, the run ends immediately, which is not an error.
    private func begin() throws(ZooKeeperError) {
        guard runOnce.begin() else {
            throw ZooKeeperError(.invalidArgument, message: "a client can run only once, and this one was run before")
        }
        state.withLock { if $0.phase == .idle { $0.phase = .running } }
    }

    private func end() {
        let live = state.withLock { state in
            state.phase = .stopped
            defer { state.live = nil }
            return state.live
        }
        // The session may have started while the client was stopping.
        live?.markGone(.clientStopped)
        let session = live?.publicSession
        logger(for: session).info("ZooKeeper client has stopped")
        states.finish(.closed(session))
        stopped.set(())
    }

    /// Creates, replaces and closes connections as the state machine decides.
    private func connections() async -> ZooKeeperError? {
        while true {
            let now = clock.now
            switch state.withLock({ $0.machine.nextStep(now: now) }) {
            case .resolve: await resolve()
            case .open(let addresses, let session): open(addresses: addresses, session: session)
            case .close(let end): await close(end)
            case .wait(let deadline): await connectionWakeUp.wait(until: deadline, clock: clock)
            case .reportOutage(let duration): reportOutage(lasting: duration)
            case .giveUp(let limit): giveUp(after: limit)
            case .finish(let failure): return failure
            }
        }
    }

    private func reportOutage(lasting duration: Duration) {
        let (servers, session) = state.withLock { ($0.servers, $0.live?.publicSession) }
        logger(for: session).warning(
            "No connection to the ensemble; the client keeps trying",
            metadata: [
                "zookeeper.servers": "\(servers.map(\.description).joined(separator: ","))",
                "zookeeper.outage": "\(duration)",
            ])
    }

    private func giveUp(after limit: Duration) {
        let error = noConnection(within: limit, "initialConnectionTimeout")
        decide { $0.connectionTimedOut(error) }
    }

    /// Returns the error for a connection that was not established in time.
    func noConnection(within limit: Duration, _ setting: String) -> ZooKeeperError {
        let servers = state.withLock { $0.servers.map(\.description).joined(separator: ",") }
        return ZooKeeperError(
            .operationTimeout,
            message:
                "no connection to \(servers) within \(limit): check the addresses and that the servers are running, or "
                + "raise \(setting)")
    }

    private func resolve() async {
        let (servers, deadline) = state.withLock { ($0.servers, $0.machine.nextOutageStep) }
        guard let resolution = await resolveUnlessStopped(servers, until: deadline) else { return }
        let now = clock.now
        let failures = resolution.failures.map { "\($0)" }
        let new = state.withLock { state in
            state.machine.resolved(resolution.addresses, now: now)
            defer { state.unresolved = Set(failures) }
            return failures.filter { !state.unresolved.contains($0) }
        }
        for failure in new {
            logger.warning("Cannot resolve a server's name", metadata: ["zookeeper.reason": "\(failure)"])
        }
    }

    /// Resolves names; returns `nil` if the client is stopping, or at the deadline.
    ///
    /// A name service that does not answer must not prevent the client from stopping or from reporting an outage.
    private func resolveUnlessStopped(_ servers: [ServerAddress], until deadline: MonotonicInstant?) async
        -> Resolution?
    {
        await race(
            {
                var generator = self.randomness
                let (addresses, failures) = await resolveServers(
                    servers, using: self.resolver, generator: &generator)
                return Resolution(addresses: addresses, failures: failures)
            },
            {
                guard let deadline else {
                    _ = try? await self.stopping.wait()
                    return nil
                }
                _ = try? await self.clock.run(until: deadline) { try await self.stopping.wait() }
                return nil
            })
    }

    private func open(addresses: [String], session: TransportSession?) {
        let now = clock.now
        let connection = state.withLock { state -> (any TransportConnection)? in
            guard state.machine.willOpen(now: now) else { return nil }
            let number = state.connections.open(now: now)
            // The C client does the same on its next connection: a server with a lower limit does not shorten the
            // session.
            let timeout = session?.timeout ?? Int32(clamping: configuration.sessionTimeout.milliseconds)
            let endpoint = TransportEndpoint(
                servers: addresses,
                sessionTimeout: timeout,
                session: session,
                credentials: state.credentials.map(\.transport),
                tls: configuration.tls?.transport)
            let connection = transport.makeConnection(to: endpoint) { [weak self] event in
                self?.receive(event, connectionNumber: number)
            }
            state.connection = connection
            return connection
        }
        guard let connection else { return }
        logger.debug("Connecting", metadata: ["zookeeper.servers": "\(addresses.joined(separator: ","))"])
        connection.open()
    }

    private func close(_ end: TransportClose) async {
        let connection = state.withLock { state in
            state.isConnected = false
            return state.connection
        }
        let isKept = await connection?.close(end) ?? true
        if end == .keepSession, !isKept {
            logger.warning("The session may have been closed with its connection; the client treats it as ended")
        }
        state.withLock { $0.connection = nil }
        decide { $0.closed(isKept: isKept) }
    }
}
