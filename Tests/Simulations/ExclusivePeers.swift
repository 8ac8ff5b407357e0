import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// The command of a window, below a guard that ends it at the last deadline that it has heard of.
///
/// It goes on while its program stands still, and for a while when it is told to end.
final class HeldChild: Sendable {
    private final class State {
        var deadline: MonotonicInstant?
        var isToldToEnd = false
        var hasEnded = false
    }

    private let log: ExclusiveLog
    private let program: Participant
    private let state = Confined(State())

    init(_ log: ExclusiveLog, _ program: Participant) {
        self.log = log
        self.program = program
    }

    /// Runs the command until it ends, and tells the guard of each new deadline.
    func run(under window: ExclusiveWindow) async {
        let token = window.fencingToken.rawValue
        state.value.deadline = window.deadline
        let (steps, patience) = program.chance { ($0.below(20), $0.below(4)) }
        program.startChild { clock in await self.act(token, steps: steps, patience: patience, clock) }
        while !state.value.hasEnded {
            if let deadline = window.deadline { state.value.deadline = deadline }
            if Task.isCancelled { state.value.isToldToEnd = true }
            await program.stubbornPause(.milliseconds(1) ... .milliseconds(50))
        }
    }

    private func act(_ token: Int64, steps: Int, patience: Int, _ clock: SimulatedClock) async {
        var (left, isToldToEnd) = (steps, false)
        // It is killed when its program is.
        while program.isAlive, left > 0, let deadline = state.value.deadline, clock.now < deadline {
            log.act(token, true, by: program)
            left -= 1
            if state.value.isToldToEnd, !isToldToEnd { (isToldToEnd, left) = (true, min(left, patience)) }
            let span = program.chance { $0.duration(.zero ... .milliseconds(300)) }
            try? await clock.sleep(until: min(clock.now + span, deadline))
        }
        state.value.hasEnded = true
    }
}

/// A processor or an operator as they are built with Curator: it holds by its znode alone, knows no deadline, and neither
/// the members nor the records of windows.
///
/// What it does counts only while its znodes stand. Whenever it does not know what has become of a request, it ends its session.
struct CuratorPeer: Sendable {
    static let data = Array("owner=jvm\nreason=JVM\n".utf8)

    let participant: Participant
    let log: ExclusiveLog
    let allowance: Duration

    private var locks: String { "\(ExclusiveScenario.path)/locks" }
    private var signal: String { "\(ExclusiveScenario.path)/signal" }

    func main(_ kind: ContenderName.Kind) async {
        while !Task.isCancelled, participant.isAlive {
            await participant.withClient { client in
                do {
                    while !Task.isCancelled {
                        try await kind == .read ? process(client) : openWindow(client)
                        try await participant.pause(.milliseconds(1) ... .seconds(1))
                    }
                } catch let error as ZooKeeperError {
                    participant.note("begins anew: \(error)")
                }
            }
            try? await participant.pause(.milliseconds(10) ... .milliseconds(500))
        }
    }

    private func process(_ client: ZooKeeperClient) async throws {
        let (path, token) = try await stand(.read, client)
        let (found, watch) = try await client.watchExistence(at: signal)
        if found == nil { try await process(under: path, token, until: watch, client) }
        try await client.delete(path)
        if found != nil { _ = try await watch.event() }
        participant.progress()
    }

    /// Processes events until the signal comes: the one that it does then it does to its end.
    private func process(
        under path: String, _ token: Int64, until watch: Watch, _ client: ZooKeeperClient
    ) async throws {
        let isSignalled = OneShot<Void>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                _ = try await watch.event()
                isSignalled.set(())
            }
            defer { group.cancelAll() }
            for _ in 0..<participant.chance({ $0.below(50) }) where client.isConnected && isSignalled.value == nil {
                try await processOne(path, token)
            }
        }
    }

    private func processOne(_ path: String, _ token: Int64) async throws {
        let event = log.nextEvent()
        log.record(.eventEntered(id: event, token: token), by: participant)
        defer { log.record(.eventLeft(id: event), by: participant) }
        for _ in 0..<2 {
            log.record(.eventActed(id: event, isValid: log.stands(path, token)), by: participant)
            try await participant.pause(.zero...allowance)
        }
    }

    private func openWindow(_ client: ZooKeeperClient) async throws {
        guard log.phase == .any else { return participant.progress() }
        let announced: Int64
        do {
            announced = try await client.create(signal, data: Self.data, mode: .ephemeral, parents: true).stat.czxid
                .rawValue
        } catch let error as ZooKeeperError where error.code == .nodeExists {
            let (found, watch) = try await client.watchExistence(at: signal)
            if found != nil { _ = try await watch.event() }
            return
        }
        let (path, token) = try await stand(.write, client)
        log.record(.windowBegan(token: token), by: participant)
        for _ in 0...participant.chance({ $0.below(4) }) {
            let isValid = log.stands(path, token) && log.stands(signal, announced)
            log.record(.windowActed(token: token, isValid: isValid), by: participant)
            try await participant.pause(.zero ... .milliseconds(300))
        }
        log.record(.windowEnded(token: token), by: participant)
        participant.progress()
        try await client.delete(path)
        try await client.delete(signal)
    }

    /// Joins the queue, and returns when nobody in front conflicts.
    private func stand(_ kind: ContenderName.Kind, _ client: ZooKeeperClient) async throws -> (String, Int64) {
        let uuid = ContenderName.makeUUID(using: client.randomness)
        _ = try await client.connectedSession()
        let connection = client.presentConnection?.number
        let (path, stat) = try await client.create(
            "\(locks)/\(ContenderName.base(uuid: uuid, kind: kind))", data: Array("jvm".utf8),
            mode: .ephemeralSequential, parents: true)
        while true {
            let names = try await client.children(of: locks).names.compactMap(ContenderName.init)
            // A client in Java refuses servers that are behind what it has seen; a new connection of this one does not.
            guard let connection, client.presentConnection?.number == connection,
                let own = names.first(where: { path.hasByteSuffix($0.string) })
            else { throw ZooKeeperError(.connectionLoss, path: path) }
            let front = names.first { $0.isBefore(own) && (kind == .write || $0.kind == .write) }
            guard let front else { return (path, stat.czxid.rawValue) }
            let (found, watch) = try await client.watchExistence(at: "\(locks)/\(front.string)")
            if found != nil { _ = try await watch.event() }
        }
    }
}
