internal import ZooKeeper
package import ZooKeeperTransport

extension SimulatedEnsemble {
    /// Connects a client's socket to the server with an address.
    ///
    /// - Returns: `false` when nobody listens there. A server that has no leader takes the connection and closes it.
    package func connect(_ socket: SimulatedSocket, to address: String) -> Bool {
        guard let index = addresses.firstIndex(of: address) else { return false }
        if case .down = servers[index].role { return false }
        servers[index].accept(socket)
        return true
    }

    /// Kills a server: its connections break, what it has logged survives.
    package func stop(_ index: Int) {
        let server = servers[index]
        if case .down = server.role { return }
        server.note("stops")
        server.leaveRole()
        server.dropClients(isCrash: true)
        server.fastForward()
        server.role = .down
        server.machine.thaw()
    }

    /// Lets a server stand still, as a long garbage collection does: it takes connections and answers nobody.
    package func freeze(_ index: Int) {
        servers[index].machine.freeze()
    }

    /// Lets it go on: whatever has arrived meanwhile is handled now, and its timers come due.
    package func thaw(_ index: Int) {
        servers[index].machine.thaw()
        lookForLeader()
    }

    /// Starts a server that was stopped.
    package func start(_ index: Int) {
        let server = servers[index]
        guard case .down = server.role else { return }
        if settings.servers == 1 {
            server.lead(epoch: 0)
        } else {
            server.role = .looking
            lookForLeader()
        }
    }

    /// Cuts the servers apart: those of different groups no longer hear each other, and nobody is told.
    ///
    /// Servers that are in none of the groups form one together.
    package func cut(_ parts: [[Int]]) {
        simulation.note("cut \(parts)")
        groups = groups.indices.map { server in
            (parts.firstIndex { $0.contains(server) } ?? -1) + 1
        }
        applyGroups()
    }

    /// Lets all servers hear each other again; what was said meanwhile arrives now.
    package func heal() {
        simulation.note("heal")
        groups = groups.map { _ in 0 }
        applyGroups()
    }

    /// Makes what the leader tells a follower slow; `nil` makes it as quick as usual.
    package func setLag(_ index: Int, _ latency: Latency?) {
        lags[index] = latency
        applyLag(of: index)
    }

    /// Changes the network between the servers, in both directions; servers that lag go on lagging.
    package func setPeerLatency(_ latency: Latency) {
        peerLatency = latency
        for peer in peers { peer.setLatency(latency) }
        for server in servers.indices { applyLag(of: server) }
    }

    /// Breaks the connections of a server's clients.
    package func resetConnections(of index: Int) {
        let server = servers[index]
        server.note("resets \(server.connections.count) connections")
        for connection in server.connections { connection.socket.reset() }
    }

    // MARK: An administrator's doing

    /// The server that leads and serves: the one of the latest epoch, if a cut-off one still believes it does.
    package var leader: Int? {
        servers.filter { $0.leading?.isServing == true }.max { $0.currentEpoch < $1.currentEpoch }?.index
    }

    /// Whether a server is up, serving or not.
    package func isRunning(_ index: Int) -> Bool {
        if case .down = servers[index].role { return false }
        return true
    }

    /// Whether a server answers its clients.
    package func isServing(_ index: Int) -> Bool { servers[index].isServing }

    /// Deletes a node, as an administrator does; `false` when nobody leads.
    @discardableResult
    package func delete(_ path: String) -> Bool {
        asLeader { server, leading in
            leading.propose(0, nil, on: server) {
                leading.proposed.decide(.delete(path: path, version: -1), by: 0, zxid: $0, in: server.tree)
            }
        }
    }

    /// Writes a node's own data once more, as an administrator's tool does that touches it; `false` when nobody leads.
    @discardableResult
    package func touch(_ path: String) -> Bool {
        guard let node = node(path) else { return false }
        return asLeader { server, leading in
            leading.propose(0, nil, on: server) { zxid in
                let write = TransportRequest.setData(path: path, data: node.data, version: -1)
                return leading.proposed.decide(write, by: 0, zxid: zxid, in: server.tree)
            }
        }
    }

    /// Ends a session as if its timeout had passed; `false` when nobody leads or the session is not there.
    @discardableResult
    package func expire(_ session: Int64) -> Bool {
        asLeader { server, leading in
            guard leading.tracker.isLive(session) else { return }
            server.note("session \(hex(session)) is made to expire")
            expiries += 1
            leading.closeSession(session, nil, on: server)
        }
    }

    /// Takes away all containers now that have had children and have none.
    @discardableResult
    package func reapContainers() -> Bool {
        asLeader { server, leading in
            for path in server.tree.emptyContainers { leading.reap(path, on: server) }
        }
    }

    /// Makes a number the next sequence number among a node's children; `false` when nobody leads.
    @discardableResult
    package func setSequence(of path: String, to next: Int32) -> Bool {
        asLeader { server, leading in
            leading.propose(0, nil, on: server) {
                leading.proposed.decideSequence(of: path, next: next, zxid: $0, in: server.tree)
            }
        }
    }

    private func asLeader(_ action: (SimulatedServer, Leading) -> Void) -> Bool {
        guard let leader, let leading = servers[leader].leading else { return false }
        action(servers[leader], leading)
        return true
    }

    // MARK: What is committed

    /// The tree of the server that has applied most: the leader's, or without one the furthest.
    private var committed: SimulatedTree {
        let furthest = servers.max { $0.appliedZXID < $1.appliedZXID } ?? servers[0]
        return leader.map { servers[$0].tree } ?? furthest.tree
    }

    /// A node as it is committed.
    package func node(_ path: String) -> (data: [UInt8]?, stat: TransportStat)? {
        committed.nodes[path].map { ($0.data, $0.stat) }
    }

    /// The names of a node's children, sorted.
    package func children(of path: String) -> [String] {
        committed.nodes[path]?.children.sortedByBytes() ?? []
    }

    /// The sessions that stand, in the order of their numbers.
    package var sessions: [Int64] { committed.sessions }

    /// A node as one server would answer it now.
    package func node(_ path: String, on server: Int) -> (data: [UInt8]?, stat: TransportStat)? {
        servers[server].tree.nodes[path].map { ($0.data, $0.stat) }
    }

    /// Everything that one server has applied.
    package func tree(of server: Int) -> SimulatedTree { servers[server].tree }
}
