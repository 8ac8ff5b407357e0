internal import ZooKeeper
internal import ZooKeeperTransport

extension SimulatedServer {
    /// Takes a client's connection.
    func accept(_ socket: SimulatedSocket) {
        let connection = ServerConnection(socket, number: ensemble.nextConnection())
        connections.append(connection)
        socket.server = machine
        note("#\(connection.number) opens")
        socket.serverReceives = { [weak self, weak connection] packet in
            guard let self, let connection, connection.isOpen else { return }
            receive(packet, from: connection)
        }
        socket.serverLost = { [weak self, weak connection] in
            guard let self, let connection, connection.isOpen else { return }
            note("#\(connection.number) is lost")
            forget(connection)
        }
    }

    /// Closes after what has been sent.
    func close(_ connection: ServerConnection) {
        guard connection.isOpen else { return }
        note("#\(connection.number) closed")
        connection.socket.closeByServer()
        forget(connection)
    }

    func forget(_ connection: ServerConnection) {
        let isIdle = connection.queue.isEmpty
        connection.isOpen = false
        connections.removeAll { $0 === connection }
        guard let present = bySession[connection.session], present === connection else { return }
        bySession[connection.session] = nil
        if isIdle { queues[connection.session] = nil }
    }

    /// Closes all connections and forgets what is kept in memory only.
    ///
    /// - Parameter isCrash: Whether what is on the way is lost.
    func dropClients(isCrash: Bool = false) {
        for connection in connections {
            connection.isOpen = false
            if isCrash { connection.socket.reset() } else { connection.socket.closeByServer() }
        }
        if !connections.isEmpty { note("drops \(connections.count) clients") }
        connections.removeAll()
        bySession.removeAll()
        queues.removeAll()
        waiting.removeAll()
        revalidating.removeAll()
        dataWatches.removeAll()
        childWatches.removeAll()
    }

    private func receive(_ packet: ClientPacket, from connection: ServerConnection) {
        guard isServing else { return close(connection) }
        if case .connect = packet {} else if !connection.isReady { return close(connection) }
        switch packet {
        case .connect(let lastZXID, let session, let password, let timeout):
            let allowed = min(max(timeout, settings.shortestSession(on: index)), settings.longestSession)
            connection.timeout = allowed
            if session == 0 {
                begin(connection)
            } else {
                resume(connection, session, password: password, lastZXID: lastZXID)
            }
        case .request(let number, let request):
            ensemble.requests += 1
            receive(request, number: number, from: connection)
        case .setWatches(let since, let data, let missing, let children):
            local(.setWatches(since: since, data: data, missing: missing, children: children), -8, connection)
        case .ping:
            local(.ping, -2, connection)
        case .closeSession(let number):
            ensemble.requests += 1
            guard touch(connection) else { return }
            forward(.closeSession, number: number, from: connection) { .closeSession(ticket: $0) }
        }
    }

    // MARK: Sessions

    private func begin(_ connection: ServerConnection) {
        let session = ensemble.nextSession(on: self)
        adopt(connection, session)
        forward(.createSession(timeout: connection.timeout), number: 0, from: connection) {
            .createSession(ticket: $0)
        }
    }

    private func resume(_ connection: ServerConnection, _ session: Int64, password: [UInt8], lastZXID: Int64) {
        guard lastZXID <= appliedZXID else {
            note("#\(connection.number) has seen \(zxidText(lastZXID)), refused at \(zxidText(appliedZXID))")
            return close(connection)
        }
        if let older = bySession[session] { close(older) }
        adopt(connection, session)
        guard password == SimulatedEnsemble.password(of: session) else { return finish(connection, isValid: false) }
        switch role {
        case .down, .looking: close(connection)
        case .leading(let leading):
            let isLive = leading.revalidate(session, timeout: connection.timeout, by: index)
            finish(connection, isValid: isLive)
        case .following(let following):
            let ticket = ensemble.nextTicket()
            revalidating[ticket] = connection
            following.peer.send(.revalidate(session: session, timeout: connection.timeout, ticket: ticket))
        }
    }

    /// Binds a session to a connection, with what it still waits for here.
    private func adopt(_ connection: ServerConnection, _ session: Int64) {
        connection.session = session
        bySession[session] = connection
        if let queue = queues[session] {
            connection.queue = queue
        } else {
            queues[session] = connection.queue
        }
    }

    /// Tells the client who it is.
    func finish(_ connection: ServerConnection, isValid: Bool) {
        let session = connection.session
        note("#\(connection.number) is \(isValid ? "session \(hex(session))" : "nobody: \(hex(session)) is gone")")
        connection.isReady = isValid
        if isValid {
            connection.send(
                .connected(
                    sessionID: session, password: SimulatedEnsemble.password(of: session), timeout: connection.timeout))
        } else {
            connection.send(.connected(sessionID: 0, password: [UInt8](repeating: 0, count: 16), timeout: 0))
            close(connection)
        }
    }
}

func hex(_ session: Int64) -> String { "0x" + String(session, radix: 16) }
