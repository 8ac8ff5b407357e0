import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator
import ZooKeeperTransport

/// Those who take leases of a semaphore, one or several at a time, while others change its limit; through every fault.
package struct SemaphoreScenario: Scenario {
    package static let name = "semaphore"
    static let path = "/limits/resource"
    static let limit = 3

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let changesLimit = world.simulation.chance.oneIn(3)
        let log = SemaphoreLog(world)
        world.deletable = [Self.path + "/leases", Self.path + "/locks"]
        for number in 1...(3 + world.simulation.chance.below(3)) {
            world.add("p\(number)") { participant in
                await SemaphoreUser(participant: participant, log: log, changesLimit: changesLimit).main()
            }
        }
        if world.profile.isWide { world.keepMovingBehind(until: world.simulation.now + world.profile.trouble) }
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 4 + .seconds(40))
        world.stop()
        // All have left: nothing may take room any more.
        let left = world.deletable.flatMap { directory in
            world.ensemble.children(of: directory).sorted().map { "left behind: \(directory)/\($0)" }
        }
        return log.failures(changesLimit: changesLimit) + left
    }
}

/// What the users of a semaphore did, and what stands at the ensemble.
struct SemaphoreLog: Sendable {
    private let state: Confined<State>

    private final class State {
        let history = History<SemaphoreAction>()
        var limit = SemaphoreScenario.limit
        var leases: Set<String> = []
        unowned let world: ScenarioWorld
        init(_ world: ScenarioWorld) { self.world = world }

        /// Follows what is committed: no lease is created beyond the limit of that instant.
        func follow(_ change: TreeChange) {
            switch change {
            case .multi(let changes): for change in changes { follow(change) }
            case .create(let creation) where creation.path.hasPrefix(SemaphoreScenario.path + "/leases/"):
                leases.insert(creation.path)
                if leases.count > limit {
                    world.failures.append("\(leases.count) leases stand, and the limit is \(limit)")
                }
            case .delete(let path): leases.remove(path)
            case .closeSession(let paths): leases.subtract(paths)
            case .create(let creation) where creation.path == SemaphoreScenario.path + "-limit":
                setLimit(creation.data)
            case .setData(SemaphoreScenario.path + "-limit", let data, _): setLimit(data)
            default: break
            }
        }

        private func setLimit(_ data: [UInt8]?) {
            limit = Int(data?.last ?? 0)
        }
    }

    init(_ world: ScenarioWorld) {
        let log = State(world)
        state = Confined(log)
        world.observe { log.follow($0.change) }
        world.willDelete = { [unowned world] _, token in
            log.history.record(.disturbed(token: token), by: "admin", at: world.simulation.now)
        }
        world.willDie = { [unowned world] process in
            log.history.record(.crashed, by: process.name, at: world.simulation.now)
        }
    }

    func record(_ action: SemaphoreAction, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("\(action)")
        state.value.history.record(action, by: participant.name, at: participant.now)
    }

    func act(_ lease: Lease, by participant: Participant) {
        record(.acted(token: lease.fencingToken.rawValue, isValid: lease.isValid), by: participant)
    }

    func failures(changesLimit: Bool) -> [String] {
        // A limit that was lowered takes nothing away: then the highest one counts.
        let limit = SemaphoreScenario.limit + (changesLimit ? 1 : 0)
        return SemaphoreChecker(limit: limit).violations(in: state.value.history.entries).map(\.description)
    }
}

/// One process that takes leases again and again.
private struct SemaphoreUser: Sendable {
    let participant: Participant
    let log: SemaphoreLog
    let changesLimit: Bool

    func main() async {
        await participant.withClient { client in
            let semaphore = try DistributedSemaphore(
                client: client, path: SemaphoreScenario.path, limit: SemaphoreScenario.limit,
                id: participant.name)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0...participant.chance({ $0.below(2) }) { group.addTask { try await use(semaphore) } }
                try await group.waitForAll()
            }
        }
    }

    private func use(_ semaphore: DistributedSemaphore) async throws {
        while !Task.isCancelled {
            do {
                if changesLimit, participant.chance({ $0.oneIn(4) }) {
                    try await semaphore.setLimit(SemaphoreScenario.limit - 1 + participant.chance { $0.below(3) })
                }
                try await takeOnce(semaphore)
            } catch {
                participant.judge(error)
            }
            try await participant.pause(.zero ... .milliseconds(500))
        }
    }

    private func takeOnce(_ semaphore: DistributedSemaphore) async throws {
        let count = 1 + participant.chance { $0.below(2) }
        let patience = participant.chance { $0.duration(.milliseconds(1) ... .seconds(6)) }
        switch participant.chance({ $0.below(10) }) {
        case 0..<4: try await semaphore.withLease(count: count) { try await hold($0, count) }
        case 4..<6: try await semaphore.withLease(count: count, timeout: patience) { try await hold($0, count) }
        case 6: try await semaphore.tryWithLease(count: count) { try await hold($0, count) }
        case 7: try await keep(try await semaphore.acquire(count: count), count)
        default: try await changeMind(semaphore, count)
        }
    }

    /// The caller is cancelled at any time, before, with or after the grant.
    private func changeMind(_ semaphore: DistributedSemaphore, _ count: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await keep(try await semaphore.acquire(count: count), count) }
            group.addTask { try await participant.pause(.zero ... .seconds(3)) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func keep(_ lease: Lease, _ count: Int) async throws {
        do {
            try await hold(lease, count)
        } catch {
            await lease.release()
            throw error
        }
        await lease.release()
    }

    private func hold(_ lease: Lease, _ count: Int) async throws {
        let token = lease.fencingToken.rawValue
        let holding = participant.beginHolding()
        defer { participant.endHolding(holding) }
        log.record(.began(token: token, count: count), by: participant)
        participant.progress()
        defer { log.record(.ended(token: token), by: participant) }
        for _ in 0..<participant.chance({ $0.below(4) }) {
            log.act(lease, by: participant)
            try await participant.pause(
                .zero...participant.chance { $0.oneIn(8) ? .seconds(3) : .milliseconds(300) })
        }
        log.act(lease, by: participant)
    }
}
