internal import ZooKeeper
internal import ZooKeeperTransport

extension SimulatedServer {
    func receive(_ request: TransportRequest, number: Int, from connection: ServerConnection) {
        switch request {
        case .addAuth:
            // Not in the order of the others.
            reply(TransportReply(code: ReplyCode.ok), to: number, on: connection, "addAuth")
        case .create, .delete, .setData, .setACL, .multi:
            guard touch(connection) else { return }
            forward(.write(request), number: number, from: connection) { .write(ticket: $0) }
        case .sync:
            guard case .following = role else { return local(.local(request), number, connection) }
            guard touch(connection) else { return }
            forward(.sync, number: number, from: connection) { .sync(ticket: $0) }
        default:
            local(.local(request), number, connection)
        }
    }

    /// Notes that a session lives; a leader that closes it lets its requests fall.
    func touch(_ connection: ServerConnection) -> Bool {
        switch role {
        case .down, .looking: return false
        case .following(let following):
            following.touch(connection.session, timeout: connection.timeout)
            return true
        case .leading(let leading):
            let isLive = leading.tracker.touch(connection.session, timeout: connection.timeout)
            if !isLive { note("#\(connection.number) dropped a request: \(hex(connection.session)) is closing") }
            return isLive
        }
    }

    /// What this server answers by itself, in the session's turn.
    func local(_ kind: QueuedRequest.Kind, _ number: Int, _ connection: ServerConnection) {
        guard touch(connection) else { return }
        if let leading, leading.tracker.check(connection.session, owner: index) == ReplyCode.sessionMoved {
            note("#\(connection.number) closed: session moved")
            return close(connection)
        }
        let item = QueuedRequest(connection: connection, number: number, kind: kind)
        if connection.queue.isEmpty { perform(item) } else { connection.queue.append(item) }
    }

    /// Sends a request to the leader, and keeps its place in the session's turn.
    func forward(
        _ request: LearnerRequest, number: Int, from connection: ServerConnection,
        _ kind: (Int) -> QueuedRequest.Kind
    ) {
        let ticket = ensemble.nextTicket()
        connection.queue.append(QueuedRequest(connection: connection, number: number, kind: kind(ticket)))
        waiting[ticket] = connection.queue
        switch role {
        case .down, .looking: break
        case .following(let following):
            following.peer.send(.request(request, session: connection.session, ticket: ticket))
        case .leading(let leading):
            leading.order(
                request, session: connection.session, origin: Origin(server: index, ticket: ticket), on: self)
        }
    }

    // MARK: Answers

    /// Answers who waits for a transaction on this server; `false` when nobody does.
    func answer(_ transaction: Transaction, _ reply: TransportReply) -> Bool {
        guard let origin = transaction.origin, origin.server == index,
            let item = takeWaiting(origin.ticket)
        else { return false }
        switch item.item.kind {
        case .createSession: finish(item.item.connection, isValid: true)
        case .closeSession:
            self.reply(reply, to: item.item.number, on: item.item.connection, "close session")
            close(item.item.connection)
        default:
            if transaction.code == ReplyCode.sessionMoved {
                note("#\(item.item.connection.number) closed: session moved")
                close(item.item.connection)
            } else {
                self.reply(reply, to: item.item.number, on: item.item.connection, "\(transaction)")
            }
        }
        drain(item.queue)
        return true
    }

    /// Answers who waits for a sync.
    func synced(_ ticket: Int) {
        guard let (item, queue) = takeWaiting(ticket) else { return }
        reply(TransportReply(code: ReplyCode.ok), to: item.number, on: item.connection, "sync")
        drain(queue)
    }

    private func takeWaiting(_ ticket: Int) -> (item: QueuedRequest, queue: RequestQueue)? {
        guard let queue = waiting.removeValue(forKey: ticket), let item = queue.first else { return nil }
        precondition(item.kind.ticket == ticket, "a session's requests are answered in their order")
        queue.removeFirst()
        return (item, queue)
    }

    private func drain(_ queue: RequestQueue) {
        while let item = queue.first, item.kind.ticket == nil {
            queue.removeFirst()
            perform(item)
        }
    }

    private func reply(
        _ reply: TransportReply, to number: Int, on connection: ServerConnection, _ what: @autoclosure () -> String
    ) {
        note("#\(connection.number) \(number) \(what()) -> \(reply.code) at \(zxidText(self.appliedZXID))")
        connection.send(.reply(number: number, zxid: appliedZXID, reply))
    }

    private func perform(_ item: QueuedRequest) {
        let connection = item.connection
        guard connection.isOpen else { return }
        switch item.kind {
        case .local(let request):
            reply(answer(request, connection), to: item.number, on: connection, request.summary)
        case .setWatches(let since, let data, let missing, let children):
            setWatches(since: since, data: data, missing: missing, children: children, of: connection)
            note("#\(connection.number) set watches since \(zxidText(since))")
            connection.send(.watchesSet(zxid: appliedZXID))
        case .ping:
            connection.send(.pong(zxid: appliedZXID))
        case .write, .sync, .createSession, .closeSession: break
        }
    }

    private func answer(_ request: TransportRequest, _ connection: ServerConnection) -> TransportReply {
        switch request {
        case .sync: return TransportReply(code: ReplyCode.ok)
        case .removeWatches(let path, let kind):
            let isRemoved =
                switch kind {
                case .data: dataWatches.remove(connection, from: path)
                case .children: childWatches.remove(connection, from: path)
                }
            return TransportReply(code: isRemoved ? ReplyCode.ok : ReplyCode.noWatch)
        case .exists(let path, watch: true):
            dataWatches.add(connection, to: path)
            return tree.answer(request)
        case .getData(let path, watch: true):
            let reply = tree.answer(request)
            if reply.code == ReplyCode.ok { dataWatches.add(connection, to: path) }
            return reply
        case .getChildren(let path, watch: true):
            let reply = tree.answer(request)
            if reply.code == ReplyCode.ok { childWatches.add(connection, to: path) }
            return reply
        default: return tree.answer(request)
        }
    }

    /// Tells at once what has changed since a zxid, and watches the rest.
    private func setWatches(
        since: Int64, data: [String], missing: [String], children: [String], of connection: ServerConnection
    ) {
        for path in data {
            guard let node = tree.nodes[path] else {
                tell(connection, .deleted, path)
                continue
            }
            if node.mzxid > since {
                tell(connection, .dataChanged, path)
            } else {
                dataWatches.add(connection, to: path)
            }
        }
        for path in missing {
            if tree.nodes[path] != nil {
                tell(connection, .created, path)
            } else {
                dataWatches.add(connection, to: path)
            }
        }
        for path in children {
            guard let node = tree.nodes[path] else {
                tell(connection, .deleted, path)
                continue
            }
            if node.pzxid > since {
                tell(connection, .childrenChanged, path)
            } else {
                childWatches.add(connection, to: path)
            }
        }
    }
}

extension TransportRequest {
    /// A request that a server answers by itself, as a trace shows it.
    var summary: String {
        switch self {
        case .exists(let path, let watch): "exists \(path)" + (watch ? " and watch" : "")
        case .getData(let path, let watch): "get \(path)" + (watch ? " and watch" : "")
        case .getChildren(let path, let watch): "list \(path)" + (watch ? " and watch" : "")
        default: "\(self)"
        }
    }
}
