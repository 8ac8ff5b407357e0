import ZooKeeper
import ZooKeeperSimulator
import ZooKeeperTransport

// What strikes in a simulated world, and its end.
extension ScenarioWorld {
    func strikeLater(until end: MonotonicInstant) {
        let next = simulation.now + simulation.chance.duration(profile.faultPause)
        guard next < end else { return }
        simulation.at(next) { [self] in
            strike(simulation.chance.pick(profile.faults))
            strikeLater(until: end)
        }
    }

    private func strike(_ fault: Fault) {
        let index = simulation.chance.below(members.count)
        let process = members[index].process
        let span = simulation.chance.duration(.milliseconds(1)...profile.sessionTimeout * 2)
        switch fault {
        case .reset: process.resetConnections()
        case .lostAnswers: silence(process, toServer: false, toClient: true, for: span / 4, endsWithReset: true)
        case .lostRequests: silence(process, toServer: true, toClient: false, for: span / 4, endsWithReset: true)
        case .silence:
            let both = simulation.chance.oneIn(2)
            silence(process, toServer: true, toClient: both, for: span, endsWithReset: simulation.chance.oneIn(2))
        case .cutOff:
            process.cutOff(silently: simulation.chance.oneIn(2))
            simulation.after(span) { process.reconnect() }
        case .move: if profile.isWide, simulation.chance.oneIn(2) { moveBehind(process) } else { move(process) }
        case .freeze:
            process.freeze()
            simulation.after(span) { if !process.isDead { process.thaw() } }
        case .kill: kill(index, restartAfter: span)
        case .serverCrash: crashServer(for: span)
        case .partition: cutServers(for: span * 2)
        case .lag: lagServer(for: span)
        case .deletedNode: deleteNode()
        case .touchedNode: touchNode()
        case .reaping: _ = ensemble.reapContainers()
        case .stop: stop(index, cancelAfter: span / 4)
        case .pausedServer: pauseServer(for: span)
        case .gap: leaveGap(in: process, for: span / 4)
        }
    }

    private func silence(
        _ process: SimulatedProcess, toServer: Bool, toClient: Bool, for span: Duration, endsWithReset: Bool
    ) {
        simulation.note("silence \(process.name), requests \(toServer), answers \(toClient)")
        let connections = process.connections
        for connection in connections { connection.hold(toServer: toServer, toClient: toClient) }
        simulation.after(span) {
            for connection in connections {
                if endsWithReset { connection.reset() } else { connection.release() }
            }
        }
    }

    private func pauseServer(for span: Duration) {
        let leader = simulation.chance.oneIn(3) ? nil : ensemble.leader
        let server = leader ?? simulation.chance.below(profile.servers)
        ensemble.freeze(server)
        simulation.after(span) { self.ensemble.thaw(server) }
    }

    /// One direction of each connection waits for a packet; the connection survives.
    private func leaveGap(in process: SimulatedProcess, for span: Duration) {
        let toServer = simulation.chance.oneIn(2)
        simulation.note("a packet \(toServer ? "from" : "to") \(process.name) is lost and sent again after \(span)")
        let connections = process.connections
        for connection in connections { connection.hold(toServer: toServer, toClient: !toServer) }
        simulation.after(span) { for connection in connections { connection.release() } }
    }

    /// Moves a process to a server that is far behind, and back to all of them.
    func moveBehind(_ process: SimulatedProcess) {
        guard profile.servers > 1 else { return }
        let server = simulation.chance.below(profile.servers)
        let lag = profile.tick / 2
        simulation.note("server \(server) falls behind, and \(process.name) is told to use it")
        ensemble.setLag(server, Latency(usual: lag...profile.tick))
        use([servers[server]], by: process, after: simulation.chance.duration(.zero...lag))
        simulation.after(profile.tick * 2) { self.ensemble.setLag(server, nil) }
        use(servers, by: process, after: profile.tick * 4)
    }

    /// Time and again a process is moved to a server that has fallen behind what the process knows.
    func keepMovingBehind(until end: MonotonicInstant, _ isMoved: @escaping (String) -> Bool = { _ in true }) {
        let next = simulation.now + simulation.chance.duration(.milliseconds(500) ... .seconds(3))
        guard next < end else { return }
        simulation.at(next) { [self] in
            moveBehind(simulation.chance.pick(members.filter { isMoved($0.name) }).process)
            keepMovingBehind(until: end, isMoved)
        }
    }

    private func use(_ servers: [ServerAddress], by process: SimulatedProcess, after span: Duration) {
        simulation.after(span, by: process) { [self] in try? clients[process.number]?.updateServers(servers) }
    }

    func move(_ process: SimulatedProcess) {
        let server = simulation.chance.pick(servers)
        simulation.note("\(process.name) is told to use \(server)")
        simulation.after(.zero, by: process) { [self] in
            try? clients[process.number]?.updateServers([server])
        }
    }

    private func kill(_ index: Int, restartAfter span: Duration) {
        let member = members[index]
        guard !member.process.isDead else { return }
        member.process.kill()
        willDie(member.process)
        simulation.after(span) { [self] in
            guard !isStopping else { return }
            members[index].process = startProcess(member.name, member.main)
        }
    }

    /// Its client stops first, as in a program whose parts end in any order.
    private func stop(_ index: Int, cancelAfter span: Duration) {
        let process = members[index].process
        guard !process.isDead, process.isRunning else { return }
        simulation.note("stop \(process.name)")
        simulation.after(.zero, by: process) { [self] in clients[process.number]?.triggerGracefulShutdown() }
        simulation.after(span) { process.cancel() }
        restart(index, after: process)
    }

    /// Starts a member's next process when the one that was told to end has ended.
    private func restart(_ index: Int, after process: SimulatedProcess) {
        simulation.after(.milliseconds(100)) { [self] in
            guard members[index].process === process, !process.isDead, !isStopping else { return }
            if process.isRunning { return restart(index, after: process) }
            members[index].process = startProcess(members[index].name, members[index].main)
        }
    }

    private func crashServer(for span: Duration) {
        let server = simulation.chance.below(profile.servers)
        guard ensemble.isRunning(server) else { return }
        simulation.note("crash of server \(server)")
        ensemble.stop(server)
        simulation.after(span) { self.ensemble.start(server) }
    }

    private func cutServers(for span: Duration) {
        guard profile.servers > 1 else { return }
        let all = Array(0..<profile.servers)
        let one = all.filter { _ in simulation.chance.oneIn(2) }
        let other = all.filter { !one.contains($0) }
        simulation.note("partition \(one) \(other)")
        ensemble.cut([one, other])
        simulation.after(span) { self.ensemble.heal() }
    }

    private func lagServer(for span: Duration) {
        guard profile.servers > 1 else { return }
        let server = simulation.chance.below(profile.servers)
        simulation.note("server \(server) lags")
        ensemble.setLag(server, Latency(usual: .milliseconds(50)...profile.tick))
        simulation.after(span) { self.ensemble.setLag(server, nil) }
    }

    /// A znode that an administrator may lay hands on.
    private func pickNode() -> String? {
        var paths: [String] = []
        for directory in deletable {
            paths += ensemble.children(of: directory).sorted().map { "\(directory)/\($0)" }
        }
        return paths.isEmpty ? nil : simulation.chance.pick(paths)
    }

    private func touchNode() {
        guard let path = pickNode() else { return }
        simulation.note("an administrator touches \(path)")
        _ = ensemble.touch(path)
    }

    private func deleteNode() {
        guard let path = pickNode() else { return }
        guard let node = ensemble.node(path) else { return }
        // The placeholder of an eviction, which protects from a holder that has no znode any more.
        if node.data?.starts(with: Array("owner=".utf8)) == true { return }
        simulation.note("an administrator deletes \(path)")
        willDelete(path, node.stat.czxid)
        deletions[path] = node.stat.czxid
        disturbedSessions.insert(node.stat.ephemeralOwner)
        _ = ensemble.delete(path)
    }

    func mend() {
        simulation.note("mend")
        isMended = true
        ensemble.heal()
        ensemble.setPeerLatency(Self.quick)
        for server in 0..<profile.servers {
            ensemble.setLag(server, nil)
            ensemble.thaw(server)
            if !ensemble.isRunning(server) { ensemble.start(server) }
        }
        for member in members where !member.process.isDead {
            member.process.thaw()
            member.process.reconnect()
            member.process.freezesAtClockOnceIn = 0
            member.process.latency = Self.quick
            simulation.after(.zero, by: member.process) { [self] in
                guard profile.faults.contains(.move) else { return }
                try? clients[member.process.number]?.updateServers(servers)
            }
        }
    }
}

extension SimulatedProcess {
    func resetConnections() {
        simulation.note("reset \(name)")
        for connection in connections { connection.reset() }
    }

    /// No way to any server until ``reconnect()``.
    func cutOff(silently: Bool) {
        simulation.note("cut off \(name), \(silently ? "silently" : "with a reset")")
        isCutOff = true
        cutOffIsSilent = silently
        for connection in connections {
            if silently { connection.hold(toServer: true, toClient: true) } else { connection.reset() }
        }
    }

    func reconnect() {
        isCutOff = false
        for connection in connections where connection.isHeld { connection.release() }
    }
}
