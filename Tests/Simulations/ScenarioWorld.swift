import ZooKeeper
import ZooKeeperBridge
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A simulated world with an ensemble, participants, and the faults that strike them.
package final class ScenarioWorld {
    let simulation: Simulation
    let profile: Profile
    let ensemble: SimulatedEnsemble
    var failures: [String] = []
    /// How often each participant has done what it is there for.
    var progress: [String: Int] = [:]
    /// Called before an administrator deletes a znode.
    var willDelete: (_ path: String, _ token: Int64) -> Void = { _, _ in }
    /// Directories whose children an administrator may delete.
    var deletable: [String] = []

    private var clients: [Int: ZooKeeperClient] = [:]
    private let validity = History<ValidityAction>()
    private var members: [Member] = []
    private(set) var processes: [SimulatedProcess] = []

    /// A participant, through all of its processes.
    private struct Member {
        var name: String
        var process: SimulatedProcess
        var main: @Sendable (Participant) async -> Void
    }

    init(_ simulation: Simulation) {
        self.simulation = simulation
        profile = Profile(&simulation.chance)
        ensemble = SimulatedEnsemble(
            in: simulation,
            settings: EnsembleSettings(
                servers: profile.servers, tick: profile.tick, syncLimit: profile.syncLimit,
                peerLatency: profile.quorumLatency))
        observe { [unowned self] transaction in
            guard case .closeSession = transaction.change else { return }
            let session = SessionID(rawValue: transaction.session)
            validity.record(.sessionEnded(session), by: "ensemble", at: self.simulation.now)
        }
        simulation.note(
            "world of \(profile.servers) servers, session timeout \(profile.sessionTimeout), faults \(profile.faults)")
    }

    /// Sees each transaction at the instant of its commit.
    func observe(_ observer: @escaping (Transaction) -> Void) {
        let before = ensemble.didCommit
        ensemble.didCommit = { transaction in
            before(transaction)
            observer(transaction)
        }
    }

    private var servers: [ServerAddress] {
        ensemble.addresses.map { address in
            let parts = address.split(separator: ":")
            return ServerAddress(host: String(parts[0]), port: Int(parts[1]) ?? 2181)
        }
    }

    func makeClient(for process: SimulatedProcess) throws -> ZooKeeperClient {
        var configuration = ZooKeeperClientConfiguration(servers: servers)
        configuration.sessionTimeout = profile.sessionTimeout
        let client = try process.makeClient(of: ensemble, configuration: configuration, library: profile.library)
        clients[process.number] = client
        ask(client, of: process)
        return client
    }

    /// Asks a client again and again whether its session is valid, above all when it comes back from standing still.
    private func ask(_ client: ZooKeeperClient, of process: SimulatedProcess) {
        let span = simulation.chance.duration(.zero ... .milliseconds(300))
        simulation.after(span, by: process) { [self, weak client] in
            guard let client, !process.isDead, !client.state.isClosed else { return }
            if let session = client.session, client.isValid, client.session?.id == session.id {
                validity.record(.claimedValid(session.id), by: process.name, at: simulation.now)
            }
            ask(client, of: process)
        }
    }

    // MARK: Participants

    /// Adds somebody who takes part; after a kill the same code is started again in a new process.
    func add(_ name: String, _ main: @escaping @Sendable (Participant) async -> Void) {
        members.append(Member(name: name, process: startProcess(name, main), main: main))
    }

    private func startProcess(
        _ name: String, _ main: @escaping @Sendable (Participant) async -> Void
    ) -> SimulatedProcess {
        let process = SimulatedProcess(name, in: simulation, clockRate: simulation.chance.pick(profile.clockRates))
        process.freezeSpan = .milliseconds(1)...profile.sessionTimeout * 3
        process.freezesAtClockOnceIn = profile.freezesAtClockOnceIn
        processes.append(process)
        let participant = Participant(process, in: self)
        simulation.after(.zero) { process.start { await main(participant) } }
        return process
    }

    // MARK: The run

    /// Lets faults strike for a time, mends everything, and gives the world time to come to rest.
    ///
    /// - Parameter rest: By the end of this after the last fault, everybody must have made progress.
    func run(faultsFor trouble: Duration, rest: Duration) {
        let end = simulation.now + trouble
        if !profile.faults.isEmpty { strikeLater(until: end) }
        simulation.run(until: end)
        mend()
        let before = progress
        let isIdle = { [self] (member: Member) in
            progress[member.name, default: 0] == before[member.name, default: 0]
        }
        simulation.run(until: simulation.now + rest) { members.contains(where: isIdle) }
        for member in members where isIdle(member) {
            failures.append("\(member.name) made no progress in \(rest) after everything was mended")
        }
    }

    /// Tells everybody to end, and waits for it; then for what is left of the dead.
    func stop() {
        simulation.note("stop")
        for member in members { member.process.cancel() }
        let limit = simulation.now + profile.sessionTimeout * 2 + .seconds(10)
        let living = members.map(\.process)
        simulation.run(until: limit) { living.contains { $0.isRunning } }
        for process in living where process.isRunning {
            failures.append("\(process.name) did not end after it was told to")
        }
        // Sessions of the dead, and those whose close was lost, end by themselves.
        simulation.run(until: simulation.now + profile.sessionTimeout * 2 + profile.tick * 2)
    }

    /// Takes the world down; gives what was wrong with that.
    func end() -> [String] {
        for process in processes { process.kill() }
        for process in processes { process.bury() }
        simulation.run(until: simulation.now + .seconds(60)) { self.processes.contains { $0.isRunning } }
        let stuck = processes.filter(\.isRunning).map { "\($0.name) never ended, cancelled as it was" }
        return failures + stuck + ValidityChecker().violations(in: validity.entries).map(\.description)
    }

    // MARK: Faults

    private func strikeLater(until end: MonotonicInstant) {
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
        case .move: move(process)
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

    private func move(_ process: SimulatedProcess) {
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
            members[index].process = startProcess(member.name, member.main)
        }
    }

    /// Called when a process is killed.
    var willDie: (SimulatedProcess) -> Void = { _ in }

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
        simulation.note("an administrator deletes \(path)")
        willDelete(path, node.stat.czxid)
        _ = ensemble.delete(path)
    }

    private func mend() {
        simulation.note("mend")
        let quick = Latency(usual: .microseconds(50) ... .milliseconds(1))
        ensemble.heal()
        for server in 0..<profile.servers {
            ensemble.setLag(server, quick)
            if !ensemble.isRunning(server) { ensemble.start(server) }
        }
        for member in members where !member.process.isDead {
            member.process.thaw()
            member.process.reconnect()
            member.process.freezesAtClockOnceIn = 0
            member.process.latency = quick
            simulation.after(.zero, by: member.process) { [self] in
                guard profile.faults.contains(.move) else { return }
                try? clients[member.process.number]?.updateServers(servers)
            }
        }
    }

    /// Errors that faults cause, and that a program has to expect.
    func isExpected(_ error: any Error) -> Bool {
        switch error {
        case let error as LockError:
            return [.lost, .timedOut, .notAvailable].contains(error.code)
        case let error as ExclusiveModeError:
            return [.busy, .notPaused, .lost, .gateStopped].contains(error.code)
        case let error as ZooKeeperError:
            return error.isOutcomeUnknown
                || [.connectionLoss, .sessionExpired, .clientStopped, .operationTimeout].contains(error.code)
        default: return false
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
