import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Processors and operators of one exclusive mode, through every fault.
///
/// In some worlds operators also hold the processors, two of them at times with the same name.
///
/// In some worlds an event of each processor goes on for long in the end, while windows are given up: the processors'
/// other events must be admitted soon after.
package struct ExclusiveScenario: Scenario {
    package static let name = "exclusive"
    static let path = "/exclusive"

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let resumeDelay = world.simulation.chance.duration(.zero ... .seconds(2))
        let log = ExclusiveLog(world, resumeDelay: resumeDelay)
        world.deletable = ["\(Self.path)/locks", Self.path]
        var configuration = ExclusiveMode.Configuration()
        configuration.resumeDelay = resumeDelay
        let allowance = world.simulation.chance.pick([Duration.milliseconds(100), .milliseconds(400)])
        configuration.eventAllowance = min(allowance, world.profile.requestedTimeout / 4)
        configuration.assumedSessionTimeout = world.profile.sessionTimeout
        let settings = configuration
        for number in 1...(1 + world.simulation.chance.below(3)) {
            world.add("gate\(number)") { participant in
                await Processor(participant: participant, log: log, configuration: settings).main()
            }
        }
        let runsCommands = world.profile.isWide
        for number in 1...(1 + world.simulation.chance.below(2)) {
            world.add("oper\(number)") { participant in
                await Operator(
                    participant: participant, log: log, runsCommands: runsCommands, configuration: settings
                ).main()
            }
        }
        if world.simulation.chance.oneIn(3) {
            for number in 1...(1 + world.simulation.chance.below(2)) {
                world.add("holder\(number)") { participant in
                    await Holder(participant: participant, log: log, name: "holder\(number)").main()
                }
            }
        }
        if world.profile.isWide, world.simulation.chance.oneIn(3) {
            for kind in world.simulation.chance.pick([[ContenderName.Kind.read], [.write], [.read, .write]]) {
                world.add(kind == .read ? "jvmgate" : "jvmoper") { participant in
                    await CuratorPeer(participant: participant, log: log, allowance: settings.eventAllowance)
                        .main(kind)
                }
            }
        }
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 8 + .seconds(60))
        let givesUp = world.simulation.chance.oneIn(3)
        if !givesUp { log.phase = .quiet }
        if world.profile.isWide {
            // A connection that was lost without a sign, or a session, may take that long to end.
            world.simulation.run(until: world.simulation.now + world.profile.sessionTimeout * 2)
        }
        if givesUp {
            giveUpWindows(in: world, log)
        } else if world.profile.isWide {
            log.record(.settled, by: "world")
            world.simulation.run(until: world.simulation.now + Self.admission(in: world.profile) * 2)
        }
        log.record(.ending, by: "world")
        world.stop()
        return log.failures() + leftovers(in: world)
    }

    /// How long an event may wait without a window.
    ///
    /// A gate may wait the resume delay for a window that crashed, and then takes a few round trips. Processes whose
    /// callbacks are slow stay slow.
    static func admission(in profile: Profile) -> Duration {
        let callback = profile.library.callback
        return .seconds(4) + (callback.slowOnceIn > 0 ? callback.slow.upperBound * 2 : .zero)
    }

    /// Lets operators give windows up while an event of each processor stays inside, then nobody wants a window.
    private func giveUpWindows(in world: ScenarioWorld, _ log: ExclusiveLog) {
        let simulation = world.simulation
        log.record(.settled, by: "world")
        log.phase = .givingUp
        let end = simulation.now + .seconds(5)
        if simulation.chance.oneIn(2) {
            let (member, at) = (simulation.chance.pick(world.members), simulation.now + .seconds(3))
            let moves = simulation.chance.oneIn(2)
            simulation.at(at) { [unowned world] in
                // A new connection of the library interrupts its watches, a lost one does not.
                moves ? world.move(member.process) : member.process.resetConnections()
            }
        }
        simulation.run(until: end)
        log.phase = .quiet
        simulation.run(until: end + Self.admission(in: world.profile) * 2)
    }

    private func leftovers(in world: ScenarioWorld) -> [String] {
        var left = world.ensemble.children(of: "\(Self.path)/locks").sorted()
        left += world.ensemble.children(of: "\(Self.path)/members").sorted()
        // A holder that was told to end leaves its hold.
        let windows = world.ensemble.children(of: "\(Self.path)/windows").sorted()
        let holds = windows.filter { $0.hasPrefix("hold-") }
        left += windows.filter { !holds.contains($0) }
        if let signal = world.ensemble.node("\(Self.path)/signal"), holds.isEmpty || !ExclusiveLog.isHold(signal.data) {
            left.append("the signal")
        }
        left += world.ensemble.children(of: "\(Self.path)/signal").map { "the signal's \($0)" }
        return left.map { "left behind: \($0)" }
    }
}

/// What processors and operators did.
struct ExclusiveLog: Sendable {
    private let state: Confined<State>

    /// What operators do.
    enum Phase { case any, givingUp, quiet }

    private final class State {
        let simulation: Simulation
        var store = FencedStore()
        let history = History<ExclusiveAction>()
        var lastEvent = 0
        var phase = Phase.any
        /// The window that is wanted or open, by its token.
        var window: Int64?
        let (resumeDelay, admission): (Duration, Duration)
        let deletionNoticedWithin: Duration
        /// Processors that have had their long event.
        var long: Set<String> = []
        /// The znodes that stand, by what was committed, and their creation.
        var places: [String: Int64] = [:]
        /// Whose signal stands.
        var isCurators = false
        /// The signals that stand: of a window or of holds, and of a window during a hold.
        var signals: Set<String> = []
        var holds: Set<String> = []
        /// What transactions did wrong.
        var problems: [String] = []

        init(_ world: ScenarioWorld, resumeDelay: Duration) {
            simulation = world.simulation
            deletionNoticedWithin = world.profile.deletionNoticedWithin
            (self.resumeDelay, admission) = (resumeDelay, ExclusiveScenario.admission(in: world.profile))
        }

        /// Goes by what was committed, not by how the tree looks, which may be ahead of that.
        func observe(_ change: TreeChange, zxid: Int64) {
            let wasWanted = isWanted
            apply(change, zxid: zxid)
            if case .multi(let changes) = change { check(changes) }
            if wasWanted != isWanted { record(.windowWanted(isWanted)) }
        }

        /// Whether processors have to pause.
        private var isWanted: Bool { !signals.isEmpty || !holds.isEmpty }

        private func apply(_ change: TreeChange, zxid: Int64) {
            switch change {
            case .create(let creation):
                places[creation.path] = zxid
                if creation.path.hasPrefix(Self.hold) {
                    if holds.isEmpty { record(.heldSince(zxid)) }
                    holds.insert(creation.path)
                }
                guard creation.path == Self.signal || creation.path == Self.heldSignal else { return }
                signals.insert(creation.path)
                guard !ExclusiveLog.isHold(creation.data) else { return }
                isCurators = creation.data == CuratorPeer.data
                window = zxid
            case .delete(let path):
                places[path] = nil
                if holds.remove(path) != nil, holds.isEmpty { record(.heldSince(nil)) }
                if signals.remove(path) != nil { window = nil }
            case .closeSession(let paths):
                for path in paths { places[path] = nil }
                guard !signals.isDisjoint(with: paths) else { return }
                signals.subtract(paths)
                // A crashed window of a Curator user leaves no record for processors that start later.
                if let window, !isCurators { record(.windowCrashed(token: window)) }
                window = nil
            case .multi(let changes): for change in changes { apply(change, zxid: zxid) }
            default: break
            }
        }

        /// Whoever ends a signal in a transaction with the records of windows leaves one for the holds that there are.
        private func check(_ changes: [TreeChange]) {
            var (writesRecords, endsSignal) = (false, false)
            for change in changes {
                if case .setData(Self.records, _, _) = change { writesRecords = true }
                if case .delete(Self.signal) = change { endsSignal = true }
            }
            if writesRecords, endsSignal, !holds.isEmpty, !signals.contains(Self.signal) {
                problems.append("a transaction has deleted the signal of a hold")
            }
        }

        private static let signal = "\(ExclusiveScenario.path)/signal"
        private static let heldSignal = "\(signal)/window"
        private static let records = "\(ExclusiveScenario.path)/windows"
        private static let hold = "\(records)/hold-"

        func record(_ action: ExclusiveAction) {
            history.record(action, by: "ensemble", at: simulation.now)
        }
    }

    /// Whether a signal's data are those of holds.
    static func isHold(_ data: [UInt8]?) -> Bool {
        String(decoding: data ?? [], as: UTF8.self).contains("kind=hold")
    }

    init(_ world: ScenarioWorld, resumeDelay: Duration) {
        let log = State(world, resumeDelay: resumeDelay)
        state = Confined(log)
        world.observe { log.observe($0.change, zxid: $0.zxid) }
        world.willDie = { [unowned world] process in
            log.history.record(.died, by: process.name, at: world.simulation.now)
        }
        world.didDelete = { log.record(.deleted(token: $0)) }
        world.willDelete = { [unowned world] _, token in
            log.history.record(.disturbed(token: token), by: "admin", at: world.simulation.now)
        }
    }

    /// Whether a znode stands, by what was committed.
    func stands(_ path: String, _ token: Int64) -> Bool { state.value.places[path] == token }

    var phase: Phase {
        get { state.value.phase }
        nonmutating set { state.value.phase = newValue }
    }

    /// Whether the participant's next event is the one that goes on for long.
    func isLongEvent(of participant: Participant) -> Bool {
        phase == .givingUp && state.value.long.insert(participant.name).inserted
    }

    func record(_ action: ExclusiveAction, by name: String) {
        state.value.simulation.note("\(name) \(action)")
        state.value.history.record(action, by: name, at: state.value.simulation.now)
    }

    func nextEvent() -> Int {
        state.value.lastEvent += 1
        return state.value.lastEvent
    }

    func record(_ action: ExclusiveAction, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("\(action)")
        state.value.history.record(action, by: participant.name, at: participant.now)
    }

    /// An event's work: processors share the store, so they overtake one another freely.
    func act(_ event: Int, _ permit: EventPermit, by participant: Participant) {
        let isValid = permit.isValid
        guard participant.isAlive else { return }
        let accepted = isValid ? state.value.store.accept(permit.fencingToken.rawValue, writes: false) : nil
        record(.eventActed(id: event, isValid: isValid, accepted: accepted), by: participant)
    }

    func act(_ window: ExclusiveWindow, by participant: Participant) {
        act(window.fencingToken.rawValue, window.isValid, by: participant)
    }

    /// A window's work, by itself or by a command that it runs.
    func act(_ token: Int64, _ isValid: Bool, by participant: Participant) {
        guard participant.isAlive else { return }
        let accepted = isValid ? state.value.store.accept(token, writes: true) : nil
        record(.windowActed(token: token, isValid: isValid, accepted: accepted), by: participant)
    }

    func failures() -> [String] {
        // Clocks differ by up to 2 %, and both ends are measured by them.
        let checker = ExclusiveModeChecker(
            admissionWithin: state.value.admission, resumeDelay: state.value.resumeDelay * 0.95,
            deletionNoticedWithin: state.value.deletionNoticedWithin, knowsOfCrashes: { !$0.hasPrefix("jvm") })
        return state.value.problems + checker.violations(in: state.value.history.entries).map(\.description)
    }
}

/// A process that processes events all the time.
private struct Processor: Sendable {
    let participant: Participant
    let log: ExclusiveLog
    let configuration: ExclusiveMode.Configuration

    func main() async {
        await participant.withClient { client in
            let mode = try ExclusiveMode(
                client: client, path: ExclusiveScenario.path, configuration: configuration)
            let gate = mode.gate(id: participant.name)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await gate.run() }
                for _ in 0..<2 { group.addTask { try await process(gate) } }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    private func process(_ gate: EventGate) async throws {
        while !Task.isCancelled {
            do {
                try await processOne(gate)
            } catch let error as CancellationError {
                // The gate cancels the operation of an event that lost its permission.
                if Task.isCancelled { throw error }
            }
            participant.progress()
            try await participant.pause(.milliseconds(1) ... .milliseconds(400))
        }
    }

    private func processOne(_ gate: EventGate) async throws {
        let (event, way) = (log.nextEvent(), participant.chance { $0.below(3) })
        let isLong = log.isLongEvent(of: participant)
        log.record(.eventAsked(id: event), by: participant)
        // Recorded also for those that entered, where it says nothing.
        defer { log.record(.eventGaveUp(id: event), by: participant) }
        do {
            switch isLong ? 1 : way {
            case 0:
                let permit = try await gate.enter()
                defer { permit.leave() }
                try await work(event, permit)
            case 1:
                try await gate.withPermit { permit in try await work(event, permit, isLong: isLong) }
            default:
                try await gate.withSynchronousPermit { permit in
                    log.record(.eventEntered(id: event, token: permit.fencingToken.rawValue), by: participant)
                    log.act(event, permit, by: participant)
                    log.record(.eventLeft(id: event), by: participant)
                }
            }
        } catch let error as RecipeError where error.code == .lost {
            participant.note("event \(event): \(error)")
        }
    }

    private func work(_ event: Int, _ permit: EventPermit, isLong: Bool = false) async throws {
        log.record(.eventEntered(id: event, token: permit.fencingToken.rawValue), by: participant)
        defer { log.record(.eventLeft(id: event), by: participant) }
        log.act(event, permit, by: participant)
        let longest =
            participant.chance { $0.oneIn(20) } ? configuration.eventAllowance * 20 : configuration.eventAllowance
        try await participant.pause(isLong ? .seconds(60) ... .seconds(60) : .zero...longest)
        log.act(event, permit, by: participant)
    }
}

/// A process that wants the time for itself now and then.
private struct Operator: Sendable {
    let participant: Participant
    let log: ExclusiveLog
    /// Whether some windows run a command, as those of `zkrecipes`.
    let runsCommands: Bool
    let configuration: ExclusiveMode.Configuration

    func main() async {
        await participant.withClient { client in
            let mode = try ExclusiveMode(
                client: client, path: ExclusiveScenario.path, configuration: configuration)
            while !Task.isCancelled {
                try await participant.pause(.milliseconds(1) ... .seconds(4))
                do { try await runOnce(mode) } catch { participant.judge(error) }
            }
        }
    }

    private func runOnce(_ mode: ExclusiveMode) async throws {
        guard log.phase != .quiet else { return }
        if log.phase == .any, participant.chance({ $0.oneIn(2) }) { try await requestEviction(mode) }
        let patience = participant.chance { $0.duration(.zero ... .seconds(3)) }
        let waits = participant.chance { $0.pick([true, false]) }
        let policies: [DrainPolicy] = [.wait, .abort(after: patience), .evict(after: patience)]
        let drain = participant.chance { log.phase == .any ? $0.pick(policies) : policies[1] }
        // As a program that is told to end.
        guard log.phase == .any ? participant.chance({ $0.oneIn(4) }) : waits else {
            return try await window(mode, drain, waits: waits)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await window(mode, drain, waits: waits) }
            group.addTask { try await participant.pause(patience...patience) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Asks another operator's window to evict a processor that it waits for.
    private func requestEviction(_ mode: ExclusiveMode) async throws {
        // A JVM processor has no deadline.
        let gates = try await mode.status().notPaused.map(\.id).filter { $0.hasPrefix("gate") }
        guard !gates.isEmpty else { return }
        let gate = participant.chance { $0.pick(gates) }
        do {
            let wait = try await mode.requestEviction(of: gate, id: participant.name, timeout: .seconds(2))
            participant.note("evicted \(gate), which may continue for \(wait)")
        } catch let error as RecipeError where [.notAnswered, .notFound].contains(error.code) {
            participant.note("\(gate) is not evicted: \(error)")
        }
    }

    private func window(_ mode: ExclusiveMode, _ drain: DrainPolicy, waits: Bool) async throws {
        let operation: @Sendable (ExclusiveWindow) async throws -> Void = { window in
            let token = window.fencingToken.rawValue
            log.record(.windowBegan(token: token), by: participant)
            defer { log.record(.windowEnded(token: token), by: participant) }
            participant.progress()
            log.act(window, by: participant)
            if runsCommands, participant.chance({ $0.oneIn(3) }) {
                return await HeldChild(log, participant).run(under: window)
            }
            for _ in 0..<participant.chance({ $0.below(4) }) {
                try await participant.pause(.zero ... .milliseconds(500))
                log.act(window, by: participant)
            }
        }
        if waits {
            try await mode.withWindow(reason: "simulated", drain: drain, operation)
        } else {
            // Only this form has a time limit: that of the client's retries, for an ensemble that does not answer.
            do {
                try await mode.tryWithWindow(reason: "simulated", drain: drain, operation)
            } catch let error as RecipeError where error.code == .timedOut {
                participant.note("\(error)")
            }
        }
    }
}

/// A process that holds the processors now and then, and removes what an earlier process of its name has left.
private struct Holder: Sendable {
    let participant: Participant
    let log: ExclusiveLog
    let name: String

    func main() async {
        await participant.withClient { client in
            let mode = try ExclusiveMode(client: client, path: ExclusiveScenario.path)
            while !Task.isCancelled {
                try await participant.pause(.milliseconds(1)...(log.phase == .any ? .seconds(4) : .milliseconds(300)))
                do { try await holdOnce(mode) } catch { participant.judge(error) }
            }
        }
    }

    private func holdOnce(_ mode: ExclusiveMode) async throws {
        if log.phase == .any {
            let owner = participant.chance { $0.pick([name, "shared"]) }
            let isNew = try await mode.hold(reason: "simulated", id: owner)
            participant.note("\(owner) holds, \(isNew ? "anew" : "still")")
            try await participant.pause(.zero ... .seconds(3))
        }
        for owner in [name, "shared"] where log.phase != .any || participant.chance({ $0.oneIn(4) }) == false {
            do {
                let hadOne = try await mode.removeHold(owner, timeout: .seconds(5))
                if hadOne { participant.note("\(owner) holds no more") }
            } catch let error as RecipeError where error.code == .timedOut {
                participant.note("a window keeps the hold of \(owner)")
            }
        }
        participant.progress()
    }
}
