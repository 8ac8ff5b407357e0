import Logging
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Members of a group that come and go, some under the same id, while an administrator lays hands on their znodes.
///
/// At rest the znodes of those who take part stand, and no others.
package struct GroupScenario: Scenario {
    package static let name = "group"
    static let path = "/service/members"

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        var ids = ["one", "two", "three"]
        if world.simulation.chance.oneIn(2) { ids.append("one") }
        let names = Set(ids).sorted()
        let log = GroupLog(world, ids: names)
        let isOver = Flag()
        world.deletable = [Self.path]
        for (index, id) in ids.enumerated() {
            world.add("member\(index + 1)") { participant in
                await GroupParticipant(participant: participant, id: id, log: log, isOver: isOver).main()
            }
        }
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 4 + .seconds(20))
        // From here on nobody leaves, and nobody comes.
        isOver.set()
        world.simulation.run(until: world.simulation.now + world.profile.sessionTimeout * 3 + .seconds(20))
        var failures = log.failuresAtRest(world)
        // With nothing else happening, a znode's own watch is all that tells its owner.
        disturb(world, log) { _ = world.ensemble.touch($0) }
        disturb(world, log) { _ = world.ensemble.delete($0) }
        failures += log.failures() + log.failuresAtRest(world)
        world.stop()
        return failures
    }

    /// An administrator does something to some of the members' znodes; they have time to mend it.
    private func disturb(_ world: ScenarioWorld, _ log: GroupLog, _ deed: (_ path: String) -> Void) {
        let standing = world.ensemble.children(of: Self.path).sorted()
        for name in standing where world.simulation.chance.oneIn(2) {
            world.simulation.note("an administrator disturbs \(name) at rest")
            deed("\(Self.path)/\(name)")
        }
        world.simulation.run(until: world.simulation.now + .seconds(10))
        // A server may have lost its leader just now.
        world.simulation.run(until: world.simulation.now + world.profile.sessionTimeout * 3) {
            !log.failuresAtRest(world).isEmpty
        }
    }
}

/// What members showed and claimed, and what became of their znodes.
struct GroupLog: Sendable {
    private struct Ownership: Hashable {
        var session: Int64
        var path: String
    }

    private struct State {
        /// The process of each session.
        var processes: [Int64: String] = [:]
        var owners: [String: Int64] = [:]
        /// When a session's own znode at a path last ended.
        var ends: [Ownership: MonotonicInstant] = [:]
        var deletions: [(path: String, owner: Int64, by: Int64)] = []
        var claims: [String] = []
        /// The ids of those who take part, by their processes.
        var present: [String: String] = [:]
        /// What each member saw last, by its process.
        var seen: [String: (ids: [String], isLive: Bool)] = [:]
    }

    private let subtree: SubtreeLog
    private let state = Confined(Box())
    private let paths: [String]

    private final class Box {
        var state = State()
    }

    init(_ world: ScenarioWorld, ids: [String]) {
        paths = ids.map { "\(GroupScenario.path)/\($0)" }
        subtree = SubtreeLog(world, paths: paths)
        let box = state.value
        let before = world.willDie
        world.willDie = { process in
            before(process)
            box.state.seen[process.name] = nil
            box.state.present[process.name] = nil
        }
        world.observe { [unowned world] transaction in
            Self.note(transaction.change, by: transaction.session, in: box, world)
        }
    }

    private static func note(
        _ change: TreeChange, by session: Int64, in box: Box, _ world: ScenarioWorld
    ) {
        switch change {
        case .create(let creation): box.state.owners[creation.path] = creation.owner
        case .delete(let path):
            guard let owner = box.state.owners.removeValue(forKey: path) else { return }
            let now = world.simulation.now
            box.state.ends[Ownership(session: owner, path: path)] = now
            // An administrator has no session. The version of a znode that came in the place of an own one a moment ago
            // does not tell the two apart.
            let end = box.state.ends[Ownership(session: session, path: path)]
            let isMistaken = end.map { now - $0 <= world.profile.sessionTimeout } ?? false
            if session != 0, !isMistaken { box.state.deletions.append((path, owner, session)) }
        case .closeSession(let paths): for path in paths { box.state.owners[path] = nil }
        case .multi(let changes): for change in changes { note(change, by: session, in: box, world) }
        default: break
        }
    }

    func came(_ participant: Participant, as id: String) {
        if participant.isAlive { state.value.state.present[participant.name] = id }
    }

    func joined(_ session: SessionID?, by participant: Participant) {
        guard participant.isAlive, let session else { return }
        state.value.state.processes[session.rawValue] = participant.name
    }

    /// A member's node says where it stands.
    func claimed(_ node: PersistentNodeState, session: SessionID?, by participant: Participant) {
        guard participant.isAlive, case .present(let znode) = node, let owner = znode.stat.ephemeralOwner else {
            return
        }
        if state.value.state.processes[owner.rawValue] != participant.name, owner != session {
            state.value.state.claims.append("\(participant.name) claims a znode of session \(owner)")
        }
    }

    func saw(_ members: GroupMembers, entry: CacheEntry, by participant: Participant) {
        guard participant.isAlive else { return }
        subtree.saw(entry, by: participant, among: paths)
        state.value.state.seen[participant.name] = (members.sorted.map(\.id), members.isLive)
    }

    func left(_ participant: Participant) {
        guard participant.isAlive else { return }
        subtree.closed(participant, paths: paths)
        state.value.state.seen[participant.name] = nil
        state.value.state.present[participant.name] = nil
    }

    func failures() -> [String] {
        let state = state.value.state
        let strangers = state.deletions.filter { state.processes[$0.owner] != state.processes[$0.by] }
        return subtree.failures() + state.claims
            + strangers.map { "\($0.path) of session \($0.owner) was deleted by session \($0.by)" }
    }

    /// Those who take part stand, no others do, and every member sees exactly that.
    func failuresAtRest(_ world: ScenarioWorld) -> [String] {
        let standing = world.ensemble.children(of: GroupScenario.path).sorted()
        let present = Set(state.value.state.present.values).sorted()
        let missing = standing == present ? [] : ["at rest \(standing) stand, \(present) take part"]
        return missing
            + state.value.state.seen.sorted { $0.key < $1.key }.compactMap { name, seen in
                seen.isLive && seen.ids == standing ? nil : "\(name) sees \(seen) at rest, \(standing) stand"
            }
    }
}

/// A process that is a member, leaves now and then, and comes again.
private struct GroupParticipant: Sendable {
    let participant: Participant
    let id: String
    let log: GroupLog
    let isOver: Flag

    func main() async {
        await participant.withClient { client in
            while !Task.isCancelled {
                log.came(participant, as: id)
                try await takePart(client)
                log.left(participant)
                try await stayAway()
            }
        }
        log.left(participant)
    }

    /// For a moment, or for long within the same session; to the end when nobody is to come any more.
    private func stayAway() async throws {
        let isLong = participant.chance { $0.oneIn(3) }
        try await participant.pause(.zero...(isLong ? .seconds(6) : .milliseconds(300)))
        while isOver.isSet {
            participant.progress()
            try await participant.pause(.milliseconds(100) ... .milliseconds(200))
        }
    }

    private func takePart(_ client: ZooKeeperClient) async throws {
        var configuration = GroupMembership.Configuration(client: client)
        configuration.duplicateTimeout = nil
        let data = [UInt8](repeating: 1, count: participant.chance { $0.below(3) })
        let membership = try GroupMembership(
            client: client, path: GroupScenario.path, id: id, data: data, configuration: configuration,
            logger: client.logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await membership.run() }
            group.addTask { try await watch(membership, client) }
            group.addTask {
                for await state in membership.states {
                    log.joined(client.session?.id, by: participant)
                    log.claimed(state, session: client.session?.id, by: participant)
                }
            }
            group.addTask { try await changeAndLeave(membership) }
            if participant.chance({ $0.oneIn(4) }) { group.addTask { try await runSecond(beside: membership, client) } }
            defer { group.cancelAll() }
            // Until it leaves, or its end.
            try await group.next()
        }
    }

    /// Another part of the program takes part under the same id, with the same client: it is refused.
    private func runSecond(beside first: GroupMembership, _ client: ZooKeeperClient) async throws {
        var configuration = GroupMembership.Configuration(client: client)
        configuration.duplicateTimeout = nil
        let second = try GroupMembership(
            client: client, path: GroupScenario.path, id: id, data: [9, 9, 9, 9], configuration: configuration,
            logger: client.logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await second.run() }
            group.addTask {
                for await state in second.states where state.isPresent {
                    if first.node.state.isPresent { participant.fail("two members stand under one id") }
                }
            }
            try await group.waitForAll()
        }
    }

    private func watch(_ membership: GroupMembership, _ client: ZooKeeperClient) async throws {
        for await members in membership.changes {
            log.joined(client.session?.id, by: participant)
            log.saw(members, entry: members.entry, by: participant)
            if members.isLive, members[id] != nil { participant.progress() }
        }
    }

    /// What the process sends is done, but it hears nothing of it before its connection is lost.
    private func loseAnswers() {
        let process = participant.process.value
        let connections = process.connections
        participant.note("\(process.name) loses its answers")
        for connection in connections { connection.hold(toServer: false, toClient: true) }
        process.simulation.after(participant.chance { $0.duration(.milliseconds(20) ... .milliseconds(200)) }) {
            for connection in connections { connection.reset() }
        }
    }

    /// Sets other data now and then; returns when the member is to leave.
    private func changeAndLeave(_ membership: GroupMembership) async throws {
        // Some leave while their creation is still on its way.
        if participant.chance({ $0.oneIn(3) }), !isOver.isSet {
            if participant.chance({ $0.oneIn(2) }) { loseAnswers() }
            try await participant.pause(.zero ... .milliseconds(20))
            return
        }
        while true {
            try await participant.pause(.milliseconds(100) ... .seconds(2))
            guard !isOver.isSet else {
                try await OneShot<Void>().wait()
                return
            }
            if participant.chance({ $0.oneIn(3) }) { return }
            membership.setData([UInt8](repeating: 2, count: participant.chance { $0.below(4) }))
        }
    }
}
