import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Participants of one election: terms of all kinds, transfers, preferred participants, through every fault.
package struct LeaderScenario: Scenario {
    package static let name = "leader"
    static let path = "/election/leader"
    /// Written by leaders, in transactions that hold only while they lead.
    static let workPath = "/work"

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let log = LeaderLog(world)
        let followers = LeaderFollowers(world, election: Self.path)
        world.deletable = [Self.path, Self.path + "-requests"]
        let names = (1...(2 + world.simulation.chance.below(3))).map { "p\($0)" }
        for name in names {
            world.add(name) { participant in
                await Politician(participant: participant, log: log, id: name, names: names).main()
            }
        }
        world.add("follower") { await followers.follow(as: $0) }
        let rest = world.profile.sessionTimeout * 4 + .seconds(40)
        world.run(faultsFor: world.profile.trouble, rest: rest)
        log.calmDown()
        followers.rest(in: world)
        world.stop()
        return log.failures(successorBound: world.profile.trouble + rest) + followers.failures + leftovers(in: world)
    }

    /// Everybody has left: nothing may stand in the queue any more, nor be asked of anybody.
    private func leftovers(in world: ScenarioWorld) -> [String] {
        world.deletable.flatMap { world.ensemble.children(of: $0).sorted() }.map { "left behind: \($0)" }
    }
}

/// What the participants of an election did.
struct LeaderLog: Sendable {
    private let state: Confined<State>

    private final class State {
        var store = FencedStore()
        let history = History<LeaderAction>()
        /// The tokens of the terms that each candidate took office for.
        var tokens: [String: [Int64]] = [:]
        var highestWork: Int64 = 0
        /// Candidates that an administrator has deleted, or is about to.
        var deleted: Set<String> = []
        /// Who leads goes on from now on.
        var isCalm = false

        func disturb(_ token: Int64, in world: ScenarioWorld) {
            history.record(.disturbed(token: token), by: "admin", at: world.simulation.now)
        }
        var failures: [String] = []
    }

    init(_ world: ScenarioWorld) {
        let log = State()
        state = Confined(log)
        world.observe { [unowned world] transaction in
            guard case .multi(let changes) = transaction.change else { return }
            for case .setData(let path, let data?, _) in changes {
                if path == LeaderScenario.path + "-epoch", let candidate = Self.candidate(data) {
                    log.tokens[candidate, default: []].append(transaction.zxid)
                    // Its deletion was asked for after this, but before this was decided.
                    if log.deleted.contains(candidate) { log.disturb(transaction.zxid, in: world) }
                }
                if path == LeaderScenario.workPath, let token = Int64(String(decoding: data, as: UTF8.self)) {
                    if token < log.highestWork { log.failures.append("token \(token) wrote after \(log.highestWork)") }
                    log.highestWork = max(token, log.highestWork)
                }
            }
        }
        world.willDelete = { [unowned world] path, _ in
            let candidate = String(path.split(separator: "/").last ?? "")
            log.deleted.insert(candidate)
            for token in log.tokens[candidate] ?? [] { log.disturb(token, in: world) }
        }
        world.willDie = { [unowned world] process in
            log.history.record(.crashed, by: process.name, at: world.simulation.now)
        }
    }

    /// Whom the epoch znode names.
    private static func candidate(_ data: [UInt8]) -> String? {
        String(decoding: data, as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix("candidate=") }.map { String($0.dropFirst("candidate=".count)) }
    }

    func calmDown() { state.value.isCalm = true }

    var isCalm: Bool { state.value.isCalm }

    func record(_ action: LeaderAction, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("\(action)")
        state.value.history.record(action, by: participant.name, at: participant.now)
    }

    /// The leader does something, as a careful program does: it looks whether it still may, and hands its token over.
    func act(_ term: Term, by participant: Participant) {
        let isValid = term.isValid
        guard participant.isAlive else { return }
        let token = term.fencingToken.rawValue
        let accepted = isValid ? state.value.store.accept(token, writes: true) : nil
        record(.acted(token: token, isValid: isValid, accepted: accepted), by: participant)
    }

    func failures(successorBound: Duration) -> [String] {
        let checker = LeaderChecker(successorBound: successorBound)
        return checker.violations(in: state.value.history.entries).map(\.description) + state.value.failures
    }
}

/// One process that stands for election all the time.
private struct Politician: Sendable {
    let participant: Participant
    let log: LeaderLog
    let id: String
    let names: [String]

    private struct Scandal: Error {}

    /// The selector, which its closure must not keep in memory.
    private struct Own: Sendable {
        weak let selector: LeaderSelector?
    }

    func main() async {
        let configuration = makeConfiguration()
        await participant.withClient { client in
            let election = OneShot<Own>()
            let selector = try LeaderSelector(
                client: client, path: LeaderScenario.path, id: id, configuration: configuration, logger: client.logger
            ) { term in
                try await lead(term, client: client, election: election)
            }
            election.set(Own(selector: selector))
            log.record(.waiting, by: participant)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await selector.run() }
                group.addTask { await meddle(selector, client) }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
        log.record(.left, by: participant)
    }

    private func makeConfiguration() -> LeaderConfiguration {
        var configuration = LeaderConfiguration()
        configuration.initialRetryDelay = .milliseconds(20)
        configuration.maximumRetryDelay = .seconds(1)
        configuration.retryResetInterval = .seconds(1)
        participant.chance { chance in
            configuration.acceptsTransfers = !chance.oneIn(6)
            configuration.priority = chance.pick([0, 0, 0, 1, 2])
            configuration.takeoverDelay = chance.duration(.milliseconds(200) ... .seconds(4))
            configuration.isReadyAtStart = !chance.oneIn(4)
        }
        return configuration
    }

    private func lead(_ term: Term, client: ZooKeeperClient, election: OneShot<Own>) async throws {
        let token = term.fencingToken.rawValue
        let holding = participant.beginHolding()
        defer { participant.endHolding(holding) }
        log.record(.began(token: token), by: participant)
        participant.progress()
        defer {
            log.record(.ended(token: token), by: participant)
            log.record(.waiting, by: participant)
        }
        for _ in 0..<participant.chance({ $0.below(5) }) where !log.isCalm {
            log.act(term, by: participant)
            switch participant.chance({ $0.below(16) }) {
            case 0: throw Scandal()
            case 1: term.resign()
            case 2, 3: if let selector = election.value?.selector { await transfer(selector) }
            case 4, 5: await work(term, client: client)
            // Some heed the cancellation that comes with a loss, some do not.
            case 6, 7: await participant.stubbornPause(.zero ... .seconds(1))
            default:
                try await participant.pause(
                    .zero...participant.chance { $0.oneIn(8) ? .seconds(2) : .milliseconds(300) })
            }
        }
        log.act(term, by: participant)
        if log.isCalm { try await OneShot<Void>().wait() }
    }

    private func transfer(_ selector: LeaderSelector) async {
        let (name, patience) = participant.chance {
            ($0.pick(names), $0.duration(.milliseconds(1) ... .seconds(2)))
        }
        do {
            try await selector.resign(to: name, timeout: patience)
        } catch let error as RecipeError where error.code == .invalidArgument && name == id {
            return
        } catch {
            participant.judge(error)
        }
    }

    /// Writes what only a leader may write.
    private func work(_ term: Term, client: ZooKeeperClient) async {
        let data = Array(term.fencingToken.description.utf8)
        do {
            try await term.transaction([.setData(data, at: LeaderScenario.workPath)])
        } catch let error as ZooKeeperError where error.code == .noNode {
            _ = try? await client.create(LeaderScenario.workPath)
        } catch {
            participant.judge(error)
        }
    }

    /// Asks the leader to resign, or to transfer to any participant, as an operator does.
    private func requestResignation(_ client: ZooKeeperClient) async throws {
        let all = try await LeaderSelector.participants(client: client, path: LeaderScenario.path)
        guard let leader = all.first else { return }
        let (successor, timeout) = participant.chance {
            ($0.oneIn(2) ? nil : $0.pick(all), $0.duration(.milliseconds(1) ... .seconds(3)))
        }
        let next = try await LeaderSelector.requestResignation(
            client: client, path: LeaderScenario.path, id: id, from: leader, to: successor, timeout: timeout)
        participant.note("\(leader.id) has resigned on request; next is \(next?.id ?? "nobody")")
    }

    /// Somebody else in the process has a say, too.
    private func meddle(_ selector: LeaderSelector, _ client: ZooKeeperClient) async {
        while !Task.isCancelled {
            do {
                try await participant.pause(.zero ... .seconds(3))
                if log.isCalm { continue }
                switch participant.chance({ $0.below(6) }) {
                case 0: try await selector.resign()
                case 1: await transfer(selector)
                case 2: selector.setReady(false)
                case 3: selector.setReady(true)
                case 4: try await requestResignation(client)
                default: continue
                }
            } catch {
                participant.judge(error)
            }
        }
    }
}
