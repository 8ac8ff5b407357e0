import ZooKeeper
import ZooKeeperBridge
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Those who take a mutex: by body and by handle, guarded and asked to let go, through every fault.
package struct MutexScenario: Scenario {
    package static let name = "mutex"
    static let path = "/locks/mutex"
    static let guarded = "/guarded"

    package init() {}

    package func run(in world: ScenarioWorld) -> [String] {
        let log = MutexLog(world)
        world.deletable = [Self.path]
        for number in 1...(2 + world.simulation.chance.below(3)) {
            world.add("p\(number)") { await MutexUser(participant: $0, log: log).main() }
        }
        world.run(faultsFor: world.profile.trouble, rest: world.profile.sessionTimeout * 4 + .seconds(30))
        world.stop()
        let left = [Self.path, Self.path + "-requests"].flatMap { directory in
            world.ensemble.children(of: directory).sorted().map { "left behind: \(directory)/\($0)" }
        }
        return log.failures + left
    }
}

/// What the users of a mutex did, and what the ensemble took from them.
struct MutexLog: Sendable {
    private let state: Confined<State>

    private final class State {
        var store = FencedStore()
        let history = History<LockAction>()
        /// The highest token of a guarded write that was committed.
        var highest = Int64.min
        unowned let world: ScenarioWorld
        init(_ world: ScenarioWorld) { self.world = world }
    }

    init(_ world: ScenarioWorld) {
        let log = State(world)
        state = Confined(log)
        world.observe { transaction in
            guard case .multi(let changes) = transaction.change else { return }
            for case .setData(MutexScenario.guarded, let data, _) in changes {
                let token = Int64(String(decoding: data ?? [], as: UTF8.self)) ?? .min
                if token < log.highest {
                    log.world.failures.append("a guarded write with token \(token) after \(log.highest)")
                }
                log.highest = max(log.highest, token)
            }
        }
        world.willDelete = { [unowned world] _, token in
            log.history.record(.disturbed(token: token), by: "admin", at: world.simulation.now)
        }
        world.willDie = { [unowned world] process in
            log.history.record(.crashed, by: process.name, at: world.simulation.now)
        }
    }

    func record(_ action: LockAction, by participant: Participant) {
        guard participant.isAlive else { return }
        participant.note("\(action)")
        state.value.history.record(action, by: participant.name, at: participant.now)
    }

    /// The holder does something, as a careful program does: it looks whether it still may, and hands its token over.
    func act(_ lease: Lease, by participant: Participant) {
        let isValid = lease.isValid
        guard participant.isAlive else { return }
        let token = lease.fencingToken.rawValue
        let accepted = isValid ? state.value.store.accept(token, writes: true) : nil
        record(.acted(token: token, isValid: isValid, accepted: accepted), by: participant)
    }

    /// Who says that a znode is deleted is held to it.
    func released(_ lease: Lease, _ outcome: ReleaseOutcome, by participant: Participant) {
        guard participant.isAlive, outcome.isDeleted else { return }
        let ensemble = state.value.world.ensemble
        let token = lease.fencingToken.rawValue
        for name in ensemble.children(of: MutexScenario.path)
        where ensemble.node("\(MutexScenario.path)/\(name)")?.stat.czxid == token {
            participant.fail("\(name) stands, and was said to be deleted")
        }
    }

    var failures: [String] { FencedMutexChecker().violations(in: state.value.history.entries).map(\.description) }
}

/// One process that takes the mutex again and again.
private struct MutexUser: Sendable {
    let participant: Participant
    let log: MutexLog

    func main() async {
        await participant.withClient { client in
            let mutex = try DistributedMutex(
                client: client, path: MutexScenario.path, ownerName: participant.name)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0...participant.chance({ $0.below(2) }) { group.addTask { try await use(mutex, client) } }
                try await group.waitForAll()
            }
        }
    }

    private func use(_ mutex: DistributedMutex, _ client: ZooKeeperClient) async throws {
        while !Task.isCancelled {
            do {
                if participant.chance({ $0.oneIn(6) }) { try await ask(mutex) }
                try await takeOnce(mutex, client)
            } catch {
                participant.judge(error)
            }
            try await participant.pause(.zero ... .milliseconds(500))
        }
    }

    private func ask(_ mutex: DistributedMutex) async throws {
        guard let entry = try await mutex.queue().first else { return }
        try await mutex.requestRelease(from: entry, reason: "please")
    }

    private func takeOnce(_ mutex: DistributedMutex, _ client: ZooKeeperClient) async throws {
        let patience = participant.chance { $0.duration(.milliseconds(1) ... .seconds(6)) }
        switch participant.chance({ $0.below(10) }) {
        case 0..<3: try await mutex.withLock { try await hold($0, client) }
        case 3: try await mutex.withLock(waitingAtMost: patience) { try await hold($0, client) }
        case 4: try await mutex.tryWithLock { try await hold($0, client) }
        case 5..<8: try await keep(try await mutex.acquire(), client)
        case 8: try await keep(try await mutex.acquire(waitingAtMost: patience), client)
        default: try await changeMind(mutex, client)
        }
    }

    /// The caller is cancelled at any time, before, with or after the grant.
    private func changeMind(_ mutex: DistributedMutex, _ client: ZooKeeperClient) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await keep(try await mutex.acquire(), client) }
            group.addTask { try await participant.pause(.zero ... .seconds(3)) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Holds by one handle or by two, the second of which outlives the first.
    private func keep(_ lease: Lease, _ client: ZooKeeperClient) async throws {
        var last = lease
        do {
            if participant.chance({ $0.oneIn(3) }) {
                last = try lease.share()
                log.released(lease, await lease.release(), by: participant)
            }
            try await hold(last, client)
        } catch {
            await last.release()
            await lease.release()
            throw error
        }
        log.released(last, await last.release(), by: participant)
    }

    private func hold(_ lease: Lease, _ client: ZooKeeperClient) async throws {
        let token = lease.fencingToken.rawValue
        log.record(.began(token: token, kind: .write), by: participant)
        participant.progress()
        defer { log.record(.ended(token: token), by: participant) }
        for _ in 0..<participant.chance({ $0.below(4) }) {
            log.act(lease, by: participant)
            if participant.chance({ $0.oneIn(2) }) { try await write(lease, client) }
            try await participant.pause(
                .zero...participant.chance { $0.oneIn(8) ? .seconds(3) : .milliseconds(300) })
        }
        log.act(lease, by: participant)
    }

    /// Writes its token; nobody with a higher one may have done so before.
    private func write(_ lease: Lease, _ client: ZooKeeperClient) async throws {
        do {
            try await lease.guarded([.setData(Array("\(lease.fencingToken)".utf8), at: MutexScenario.guarded)])
        } catch let error as ZooKeeperError where error.code == .noNode {
            _ = try? await client.create(MutexScenario.guarded)
        }
    }
}
