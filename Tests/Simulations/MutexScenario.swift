import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// Those who take a mutex: by body and by handle, guarded and asked to let go, through every fault.
package struct MutexScenario: Scenario {
    package static let name = "mutex"
    static let path = "/locks/mutex"
    static let guarded = "/guarded"
    /// A fenced node to which every update adds a line of its own.
    static let updated = "/updated"

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
        return log.failures + log.updateFailures + left
    }
}

/// One process that takes the mutex again and again.
private struct MutexUser: Sendable {
    let participant: Participant
    let log: MutexLog

    func main() async {
        await participant.withClient { client in
            let mutex = try DistributedMutex(
                client: client, path: MutexScenario.path, id: participant.name)
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
                if participant.chance({ $0.oneIn(3) }), log.allowsEviction(by: client) { try await evict(mutex) }
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

    /// Takes the mutex away from whoever holds it.
    private func evict(_ mutex: DistributedMutex) async throws {
        guard let entry = try await mutex.queue().first else { return }
        participant.willDisturb(entry.session)
        let isEvicted = try await mutex.evict(entry, reason: "a test")
        participant.note("evicted \(entry.path): \(isEvicted)")
    }

    private func takeOnce(_ mutex: DistributedMutex, _ client: ZooKeeperClient) async throws {
        let patience = participant.chance { $0.duration(.milliseconds(1) ... .seconds(6)) }
        switch participant.chance({ $0.below(10) }) {
        case 0..<3: try await mutex.withLock { try await hold($0, client) }
        case 3: try await mutex.withLock(timeout: patience) { try await hold($0, client) }
        case 4: try await mutex.tryWithLock { try await hold($0, client) }
        case 5..<8: try await keep(try await mutex.acquire(), client)
        case 8: try await keep(try await mutex.acquire(timeout: patience), client)
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
        let holding = participant.beginHolding()
        defer { participant.endHolding(holding) }
        log.record(.began(token: token, kind: .write), by: participant)
        participant.progress()
        defer { log.record(.ended(token: token), by: participant) }
        if participant.chance({ $0.oneIn(2) }) { try await writeBlindly(lease, client) }
        for _ in 0..<participant.chance({ $0.below(4) }) {
            log.act(lease, by: participant)
            if participant.chance({ $0.oneIn(2) }) { try await write(lease, client) }
            if log.updatesFencedNode { try await update(lease, client) }
            try await participant.pause(
                .zero...participant.chance { $0.oneIn(8) ? .seconds(3) : .milliseconds(300) })
        }
        log.act(lease, by: participant)
    }

    /// Writes again and again, at times after a pause beyond its session's end, and never asks whether it still may: the
    /// ensemble has to know.
    private func writeBlindly(_ lease: Lease, _ client: ZooKeeperClient) async throws {
        for _ in 0..<participant.chance({ $0.below(12) }) {
            try await write(lease, client)
            guard participant.chance({ $0.oneIn(4) }) else { continue }
            await participant.stubbornPause(
                .zero...(participant.chance { $0.oneIn(8) } ? log.longPause : .milliseconds(20)))
        }
    }

    /// Adds a line that nobody else adds, once.
    private func update(_ lease: Lease, _ client: ZooKeeperClient) async throws {
        let line = log.nextLine()
        let node = try FencedNode(client: client, path: MutexScenario.updated)
        do {
            try await node.update(token: lease.fencingToken) { ($0 ?? []) + Array("\(line)\n".utf8) }
            log.noteUpdate(line, isWritten: true, by: participant)
        } catch let error as FencingError where error.code == .staleToken {
            log.noteUpdate(line, isWritten: false, by: participant)
        } catch let error as FencingError where error.code == .outcomeUnknown {
        }
    }

    /// Writes its token, which the ensemble may take of the present holder only.
    private func write(_ lease: Lease, _ client: ZooKeeperClient) async throws {
        do {
            try await lease.transaction([.setData(Array("\(lease.fencingToken)".utf8), at: MutexScenario.guarded)])
        } catch let error as ZooKeeperError where error.code == .noNode {
            _ = try? await client.create(MutexScenario.guarded)
        }
    }
}
