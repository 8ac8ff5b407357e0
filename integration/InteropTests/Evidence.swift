import ZooKeeper
import ZooKeeperSimulator

/// Something that a peer did, with the instant at which it did it: `~ NANOSECONDS WHO DEED ...`.
///
/// The clock is the machine's monotonic one, which the three runtimes read alike.
struct Evidence: Sendable {
    enum Deed: Sendable {
        case began(token: Int64, isWriter: Bool)
        case acted(token: Int64, isValid: Bool)
        case downgraded(token: Int64)
        case ended(token: Int64)
        case entered(event: Int, token: Int64)
        case worked(event: Int, isValid: Bool)
        case left(event: Int)
        case barrier(BarrierStep)
        case failed(String)
    }

    var time: MonotonicInstant
    var who: String
    var deed: Deed

    init?(_ line: String) {
        let words = line.split(separator: " ").map(String.init)
        guard words.count >= 5, words[0] == "~", let time = Int64(words[1]) else { return nil }
        self.time = MonotonicInstant(nanoseconds: time)
        who = words[2]
        let (number, last) = (Int64(words[4]) ?? 0, words[words.count - 1])
        switch words[3] {
        case "began": deed = .began(token: number, isWriter: last == "write")
        case "acted": deed = .acted(token: number, isValid: last == "valid")
        case "downgraded": deed = .downgraded(token: number)
        case "ended": deed = .ended(token: number)
        case "entered": deed = .entered(event: Int(number), token: Int64(last) ?? 0)
        case "worked": deed = .worked(event: Int(number), isValid: last == "valid")
        case "left": deed = .left(event: Int(number))
        default:
            let failure = Deed.failed(words.dropFirst(3).joined(separator: " "))
            deed = BarrierStep(rawValue: words[3]).map { .barrier($0) } ?? failure
        }
    }

    /// What it was for a lock.
    fileprivate var lockAction: LockAction? {
        switch deed {
        case .began(let token, let isWriter): .began(token: token, kind: isWriter ? .write : .read)
        case .acted(let token, let isValid): .acted(token: token, isValid: isValid)
        case .downgraded(let token): .downgraded(token: token)
        case .ended(let token): .ended(token: token)
        default: nil
        }
    }

    /// What it was for exclusive mode, where grants are windows.
    fileprivate var exclusiveAction: ExclusiveAction? {
        switch deed {
        case .began(let token, _): .windowBegan(token: token)
        case .acted(let token, let isValid): .windowActed(token: token, isValid: isValid)
        case .ended(let token): .windowEnded(token: token)
        case .entered(let event, let token): .eventEntered(id: event, token: token)
        case .worked(let event, let isValid): .eventActed(id: event, isValid: isValid)
        case .left(let event): .eventLeft(id: event)
        default: nil
        }
    }
}

/// A grant as the evidence has it.
struct EvidentGrant: Sendable {
    var who: String
    var token: Int64
    var began: MonotonicInstant
    var ended: MonotonicInstant?
}

extension [Evidence] {
    /// For the checkers of locks.
    var lockHistory: [HistoryEntry<LockAction>] {
        compactMap { one in one.lockAction.map { HistoryEntry(time: one.time, process: one.who, action: $0) } }
    }

    /// For the checker of exclusive mode.
    var exclusiveHistory: [HistoryEntry<ExclusiveAction>] {
        compactMap { one in one.exclusiveAction.map { HistoryEntry(time: one.time, process: one.who, action: $0) } }
    }

    /// Without what loops did.
    var ofTickets: [Evidence] { filter { $0.who.contains("/") } }

    /// What went wrong in a peer.
    var failures: [String] {
        compactMap { one in if case .failed(let text) = one.deed { "\(one.who): \(text)" } else { nil } }
    }

    /// How many events were let in.
    var eventCount: Int {
        filter { if case .entered = $0.deed { true } else { false } }.count
    }

    /// When a process let its events in.
    func events(of who: String) -> [MonotonicInstant] {
        compactMap { one in
            if case .entered = one.deed, one.who == who { one.time } else { nil }
        }
    }

    /// All grants, in the order in which they began.
    var grants: [EvidentGrant] {
        var grants: [EvidentGrant] = []
        var open: [String: Int] = [:]
        for one in sorted(by: { $0.time < $1.time }) {
            switch one.deed {
            case .began(let token, _):
                open[one.who] = grants.count
                grants.append(EvidentGrant(who: one.who, token: token, began: one.time))
            case .ended:
                if let index = open.removeValue(forKey: one.who) { grants[index].ended = one.time }
            default: break
            }
        }
        return grants
    }
}

extension [EvidentGrant] {
    /// Whether they were granted in the order of their znodes.
    var isInOrder: Bool { zip(self, dropFirst()).allSatisfy { $0.token < $1.token } }

    /// How often somebody of another process came next.
    var handovers: Int {
        let peers = map { $0.who.prefix { $0 != "." && $0 != "/" } }
        return zip(peers, peers.dropFirst()).count { $0 != $1 }
    }

    /// The most that were held at one instant.
    var mostAtOnce: Int {
        let changes = flatMap { [($0.began, 1)] + ($0.ended.map { [($0, -1)] } ?? []) }
        var (now, most) = (0, 0)
        for change in changes.sorted(by: { ($0.0, $0.1) < ($1.0, $1.1) }) {
            now += change.1
            most = Swift.max(most, now)
        }
        return most
    }
}
