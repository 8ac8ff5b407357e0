import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Readers and writers of one lock: in every way to take it, through every fault.
package struct LockScenario: Scenario {
    package static let name = "lock"
    static let path = "/locks/resource"

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let log = LockLog(world)
        world.deletable = [Self.path]
        let count = 2 + world.simulation.chance.below(3)
        let writersOnly = world.simulation.chance.oneIn(3)
        for number in 1...count {
            world.add("p\(number)") { participant in
                await LockUser(participant: participant, log: log, writersOnly: writersOnly).main()
            }
        }
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 4 + .seconds(30))
        world.stop()
        return log.failures(writersOnly: writersOnly) + leftovers(in: world)
    }

    /// Everybody has left: nothing may stand in the queue any more.
    private func leftovers(in world: ScenarioWorld) -> [String] {
        world.ensemble.children(of: Self.path).sorted().map { "left behind: \($0)" }
    }
}

/// What the users of a lock did.
struct LockLog: Sendable {
    private let state: Confined<State>

    private final class State {
        var store = FencedStore()
        let history = History<LockAction>()
        /// The first znode that each attempt created: its grant's token when a downgrade has created a second one.
        var tokens: [String: Int64] = [:]
        unowned let world: ScenarioWorld
        init(_ world: ScenarioWorld) { self.world = world }
    }

    init(_ world: ScenarioWorld) {
        let log = State(world)
        state = Confined(log)
        world.observe { transaction in
            guard case .create(let creation) = transaction.change, let attempt = Self.attempt(creation.path) else {
                return
            }
            log.tokens[attempt] = log.tokens[attempt] ?? transaction.zxid
        }
        world.willDelete = { [unowned world] path, czxid in
            let first = Self.attempt(path).flatMap { log.tokens[$0] }
            for token in Set([czxid, first ?? czxid]).sorted() {
                log.history.record(.disturbed(token: token), by: "admin", at: world.simulation.now)
            }
        }
        world.willDie = { [unowned world] process in
            log.history.record(.crashed, by: process.name, at: world.simulation.now)
        }
    }

    /// What all znodes of one attempt begin with.
    private static func attempt(_ path: String) -> String? {
        let prefix = LockScenario.path + "/_c_"
        return path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count).prefix(36)) : nil
    }

    func record(_ action: LockAction, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("\(action)")
        state.value.history.record(action, by: participant.name, at: participant.now)
    }

    /// The holder does something, as a careful program does: it looks whether it still may, and hands its token over.
    func act(_ lease: Lease, writes: Bool, by participant: Participant) {
        let isValid = lease.isValid
        guard participant.isAlive else { return }
        let token = lease.fencingToken.rawValue
        let accepted = isValid ? state.value.store.accept(token, writes: writes) : nil
        record(.acted(token: token, isValid: isValid, accepted: accepted), by: participant)
    }

    func failures(writersOnly: Bool) -> [String] {
        let entries = state.value.history.entries
        var violations = ReadWriteLockChecker().violations(in: entries)
        if writersOnly { violations += FencedMutexChecker().violations(in: entries) }
        return violations.map(\.description)
    }
}

/// One process that takes the lock again and again.
private struct LockUser: Sendable {
    let participant: Participant
    let log: LockLog
    let writersOnly: Bool

    func main() async {
        await participant.withClient { client in
            let lock = try DistributedReadWriteLock(client: client, path: LockScenario.path, id: participant.name)
            // Two users of one process share its read locks.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0...participant.chance({ $0.below(2) }) { group.addTask { try await use(lock) } }
                try await group.waitForAll()
            }
        }
    }

    private func use(_ lock: DistributedReadWriteLock) async throws {
        while !Task.isCancelled {
            do { try await takeOnce(lock) } catch { participant.judge(error) }
            try await participant.pause(.zero ... .milliseconds(500))
        }
    }

    private func takeOnce(_ lock: DistributedReadWriteLock) async throws {
        let way = participant.chance { $0.below(10) }
        let patience = participant.chance { $0.duration(.milliseconds(1) ... .seconds(6)) }
        let reads = !writersOnly && participant.chance { $0.oneIn(2) }
        switch (way, reads) {
        case (0..<5, true): try await lock.withReadLock { try await hold($0, reads: true) }
        case (0..<5, false): try await lock.withWriteLock { try await hold($0, reads: false) }
        case (5..<7, true): try await lock.withReadLock(timeout: patience) { try await hold($0, reads: true) }
        case (5..<7, false): try await lock.withWriteLock(timeout: patience) { try await hold($0, reads: false) }
        case (7, true): try await lock.tryWithReadLock { try await hold($0, reads: true) }
        case (7, false): try await lock.tryWithWriteLock { try await hold($0, reads: false) }
        default: try await takeAndChangeMind(lock, reads: reads)
        }
    }

    /// The caller is cancelled at any time, before, with or after the grant.
    private func takeAndChangeMind(_ lock: DistributedReadWriteLock, reads: Bool) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                if reads {
                    try await lock.withReadLock { try await hold($0, reads: true) }
                } else {
                    try await lock.withWriteLock { try await hold($0, reads: false) }
                }
            }
            group.addTask { try await participant.pause(.zero ... .seconds(3)) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func hold(_ lease: Lease, reads: Bool) async throws {
        let token = lease.fencingToken.rawValue
        let holding = participant.beginHolding()
        defer { participant.endHolding(holding) }
        log.record(.began(token: token, kind: reads ? .read : .write), by: participant)
        participant.progress()
        defer { log.record(.ended(token: token), by: participant) }
        var writes = !reads
        for _ in 0..<participant.chance({ $0.below(4) }) {
            log.act(lease, writes: writes, by: participant)
            if writes, !writersOnly, participant.chance({ $0.oneIn(10) }) {
                try await lease.downgrade()
                log.record(.downgraded(token: token), by: participant)
                writes = false
            }
            // Some heed the cancellation that comes with a loss, some do not.
            if participant.chance({ $0.oneIn(4) }) {
                await participant.stubbornPause(.zero ... .seconds(1))
            } else {
                try await participant.pause(
                    .zero...participant.chance { $0.oneIn(8) ? .seconds(3) : .milliseconds(300) })
            }
        }
        log.act(lease, writes: writes, by: participant)
    }
}
