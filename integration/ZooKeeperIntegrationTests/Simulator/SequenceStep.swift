import ZooKeeperSimulator
import ZooKeeperTransport

/// What happens next in a sequence; a slot is the place of one of the sessions.
enum SequenceStep: Sendable {
    /// The slot's session sends requests without waiting between them, then waits for all answers.
    case perform([TransportRequest], slot: Int)
    /// The slot's session is ended, and another takes its place.
    case reopen(slot: Int)
    /// The slot's connection breaks while nothing is in flight, and cannot be made again for now.
    case cut(slot: Int)
    /// The slot's connection can be made again.
    case restore(slot: Int)
}

/// Steps that follow from a seed alone.
struct RandomSequence: Sendable {
    static let slots = 3

    let seed: UInt64
    /// What the sequence stands below, so that sequences do not meet.
    let root: String
    let steps: [SequenceStep]

    /// - Parameters:
    ///   - hasLosses: Whether connections break.
    ///   - syncsBeforeReads: Whether whatever a server answers by itself follows a `sync` in the same flight.
    init(seed: UInt64, steps count: Int, hasLosses: Bool = false, syncsBeforeReads: Bool = false) {
        self.seed = seed
        root = "/sequence\(seed)"
        var generator = StepGenerator(
            requests: RequestGenerator(chance: Chance(seed: seed), root: root),
            hasLosses: hasLosses, syncsBeforeReads: syncsBeforeReads)
        var steps: [SequenceStep] = []
        for _ in 0..<count { steps += generator.next() }
        self.steps = steps + generator.end()
    }

    /// How many requests the sequence sends, the ends of sessions among them.
    var operations: Int {
        steps.reduce(0) { sum, step in
            switch step {
            case .perform(let requests, _): sum + requests.count
            case .reopen: sum + 1
            case .cut, .restore: sum
            }
        }
    }
}

/// Chooses who does what, and whose connection breaks for how long.
private struct StepGenerator {
    var requests: RequestGenerator
    let hasLosses: Bool
    let syncsBeforeReads: Bool
    /// The slot without a connection, and the steps that the others do meanwhile.
    private var away: (slot: Int, left: Int)?

    init(requests: RequestGenerator, hasLosses: Bool, syncsBeforeReads: Bool) {
        self.requests = requests
        self.hasLosses = hasLosses
        self.syncsBeforeReads = syncsBeforeReads
    }

    mutating func next() -> [SequenceStep] {
        let slot = presentSlot()
        if let away, away.left == 0 { return end() }
        away?.left -= 1
        if hasLosses, away == nil, requests.chance.oneIn(12) {
            away = (slot, 4 + requests.chance.below(16))
            // Much is watched, so that there is something to tell when the session is back.
            return [.perform((0..<12).map { _ in requests.watch() }, slot: slot), .cut(slot: slot)]
        }
        if requests.chance.oneIn(25) { return [.reopen(slot: slot)] }
        let batch = batch()
        return [.perform(syncsBeforeReads ? batch.flatMap(\.afterSync) : batch, slot: slot)]
    }

    /// Requests that go out together.
    ///
    /// A new access list is the last of them: whether what follows it in flight is judged by the new or by the old one
    /// depends on how fast the server applies it.
    private mutating func batch() -> [TransportRequest] {
        let count = requests.chance.oneIn(4) ? 2 + requests.chance.below(5) : 1
        var batch: [TransportRequest] = []
        for _ in 0..<count {
            batch.append(requests.next())
            if case .setACL = batch.last { break }
        }
        return batch
    }

    /// Gives back the connection that is away.
    mutating func end() -> [SequenceStep] {
        guard let away else { return [] }
        self.away = nil
        return [.restore(slot: away.slot)]
    }

    private mutating func presentSlot() -> Int {
        let all = (0..<RandomSequence.slots).filter { $0 != away?.slot }
        return requests.chance.pick(all)
    }
}

extension TransportRequest {
    /// The request, behind a `sync` if the session's server would answer it from what it happens to have applied.
    fileprivate var afterSync: [TransportRequest] {
        switch self {
        case .exists(let path, _), .getData(let path, _), .getChildren(let path, _), .getACL(let path),
            .removeWatches(let path, _):
            [.sync(path: path), self]
        case .create, .delete, .setData, .setACL, .sync, .multi, .addAuth:
            [self]
        }
    }
}
