import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator
import ZooKeeperTransport

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
    /// Called when the deletion was committed.
    var didDelete: (_ token: Int64) -> Void = { _ in }
    /// What an administrator deletes, by path, and its token.
    var deletions: [String: Int64] = [:]
    /// Sessions of which an administrator has deleted a znode.
    var disturbedSessions: Set<Int64> = []
    /// Called when a process is killed.
    var willDie: (SimulatedProcess) -> Void = { _ in }
    /// Nothing strikes or freezes any more, and the network is quick, also for those who start only now.
    var isMended = false
    /// Everybody was told to end: nobody is started any more.
    var isStopping = false
    static let quick = Latency(usual: .microseconds(50) ... .milliseconds(1))
    /// Directories whose children an administrator may delete.
    var deletable: [String] = []

    var clients: [Int: ZooKeeperClient] = [:]
    /// How much is done under grants of each session, valid or not.
    var held: [Int64: Int] = [:]
    private let validity = History<ValidityAction>()
    private var witnesses: [Witness] = []
    var members: [Member] = []
    private(set) var processes: [SimulatedProcess] = []

    /// A client, or one of its sessions, which holds all that was granted in it.
    private struct Witness {
        weak var object: AnyObject?
        var description: String
    }

    /// A participant, through all of its processes.
    struct Member {
        var name: String
        var process: SimulatedProcess
        var main: @Sendable (Participant) async -> Void
    }

    init(_ simulation: Simulation) {
        self.simulation = simulation
        profile = Profile(seed: simulation.seed, &simulation.chance)
        var settings = EnsembleSettings(
            servers: profile.servers, tick: profile.tick, syncLimit: profile.syncLimit,
            peerLatency: profile.quorumLatency)
        settings.clockRates = profile.serverClockRates
        settings.minimumSessionTimeouts = profile.sessionMinimums
        ensemble = SimulatedEnsemble(in: simulation, settings: settings)
        observe { [unowned self] transaction in
            if case .delete(let path) = transaction.change, transaction.session == 0,
                let token = deletions.removeValue(forKey: path)
            {
                didDelete(token)
            }
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

    var servers: [ServerAddress] {
        ensemble.addresses.map { address in
            let parts = address.split(separator: ":")
            return ServerAddress(host: String(parts[0]), port: Int(parts[1]) ?? 2181)
        }
    }

    func makeClient(for process: SimulatedProcess) throws -> ZooKeeperClient {
        var configuration = ZooKeeperClientConfiguration(servers: servers)
        configuration.sessionTimeout = profile.requestedTimeout
        let client = try process.makeClient(of: ensemble, configuration: configuration, library: profile.library)
        clients[process.number] = client
        process.willEndSession = { [unowned self] session in
            // With a deleted znode there is nothing left to protect.
            guard held[session, default: 0] > 0, !disturbedSessions.contains(session) else { return }
            failures.append("\(process.name) closed a session in which it still held something")
        }
        witnesses.append(Witness(object: client, description: "a client of \(process.name)"))
        ask(client, of: process)
        return client
    }

    /// Asks a client again and again whether its session is valid, above all when it comes back from standing still.
    private func ask(_ client: ZooKeeperClient, of process: SimulatedProcess) {
        let span = simulation.chance.duration(.zero ... .milliseconds(300))
        simulation.after(span, by: process) { [self, weak client] in
            guard let client, !process.isDead, !client.state.isClosed else { return }
            if let session = client.presentConnection?.session, !witnesses.contains(where: { $0.object === session }) {
                witnesses.append(Witness(object: session, description: "a session of \(process.name)"))
            }
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

    func startProcess(
        _ name: String, _ main: @escaping @Sendable (Participant) async -> Void
    ) -> SimulatedProcess {
        let lives = processes.count { $0.name.split(separator: ".").first.map(String.init) == name }
        let process = SimulatedProcess(
            lives == 0 ? name : "\(name).\(lives + 1)", in: simulation,
            clockRate: simulation.chance.pick(profile.clockRates))
        process.freezeSpan = .milliseconds(1)...profile.sessionTimeout * 3
        if isMended {
            process.latency = Self.quick
        } else {
            process.freezesAtClockOnceIn = profile.freezesAtClockOnceIn
        }
        processes.append(process)
        let participant = Participant(process, member: name, in: self)
        simulation.after(.zero) { process.start { await main(participant) } }
        return process
    }

    /// Starts a process that runs beside another one, on its machine: it is frozen by nothing, and ends by itself.
    func startChild(
        _ name: String, of parent: SimulatedProcess, _ main: @escaping @Sendable (SimulatedClock) async -> Void
    ) {
        let process = SimulatedProcess(name, in: simulation, clockRate: parent.clockRate)
        processes.append(process)
        let clock = SimulatedClock(process)
        process.start { await main(clock) }
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
        isStopping = true
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
        // The dead hear nothing of their connections' end.
        for process in processes {
            simulation.after(.zero, by: process) { [self] in clients[process.number]?.stopImmediately() }
        }
        simulation.run(until: simulation.now + .seconds(60)) { self.processes.contains { $0.isRunning } }
        let stuck = processes.filter(\.isRunning).map { "\($0.name) never ended, cancelled as it was" }
        // What is on its way holds what it is for.
        simulation.run(until: simulation.now + .seconds(10))
        clients = [:]
        let kept = witnesses.filter { $0.object != nil }.map { "\($0.description) is still in memory" }
        let claims = ValidityChecker().violations(in: validity.entries).map(\.description)
        return failures + stuck + (stuck.isEmpty ? kept : []) + claims
    }

    /// Errors that faults cause, and that a program has to expect.
    func isExpected(_ error: any Error) -> Bool {
        switch error {
        case let error as RecipeError:
            return switch error.recipe {
            case .lock: [.lost, .timedOut, .notAvailable].contains(error.code)
            case .exclusiveMode: [.notAvailable, .notPaused, .lost, .stopped].contains(error.code)
            case .barrier, .sharedValue: error.code == .timedOut
            case .election: error.code != .invalidArgument
            case .cache, .group, .partitionGroup, .scheduledTask: false
            }
        case let error as ZooKeeperError:
            return error.isOutcomeUnknown
                || [.connectionLoss, .sessionExpired, .clientStopped, .operationTimeout].contains(error.code)
        default: return false
        }
    }
}
