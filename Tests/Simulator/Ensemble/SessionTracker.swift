internal import ZooKeeper
internal import ZooKeeperTransport

/// A leader's memory of who lives: made anew with each term, every session with its full timeout.
final class SessionTracker {
    private struct Tracked {
        var expires: MonotonicInstant
        /// The server that the session is connected to; `nil` until one says so.
        var owner: Int?
        var isClosing = false
    }

    private let simulation: Simulation
    /// The server whose memory it is: it looks at nothing while that stands still.
    private unowned let machine: SimulatedProcess
    private let interval: Int64
    /// Where the ticks of this term lie.
    private let phase: Int64
    private let expire: (Int64) -> Void
    private var tracked: [Int64: Tracked] = [:]
    /// Who is looked at at an instant; each session stands in one of them.
    private var due: [MonotonicInstant: [Int64]] = [:]
    private var isStopped = false

    init(on machine: SimulatedProcess, tick: Duration, expire: @escaping (Int64) -> Void) {
        simulation = machine.simulation
        self.machine = machine
        interval = machine.trueSpan(of: tick).nanoseconds
        phase = simulation.chance.duration(.zero...tick).nanoseconds
        self.expire = expire
    }

    func track(_ session: Int64, timeout: Int32) {
        if tracked[session] != nil {
            touch(session, timeout: timeout)
        } else {
            let expires = boundary(after: timeout)
            tracked[session] = Tracked(expires: expires)
            look(at: session, at: expires)
        }
    }

    /// Notes that a session lives; `false` when it is unknown or about to be closed.
    @discardableResult
    func touch(_ session: Int64, timeout: Int32) -> Bool {
        guard let index = tracked.index(forKey: session), !tracked.values[index].isClosing else { return false }
        tracked.values[index].expires = boundary(after: timeout)
        return true
    }

    /// Whether a server may act for a session: 0, or why not.
    func check(_ session: Int64, owner: Int) -> ReplyCode {
        guard let index = tracked.index(forKey: session), !tracked.values[index].isClosing else {
            return ReplyCode.sessionExpired
        }
        guard let present = tracked.values[index].owner else {
            tracked.values[index].owner = owner
            return ReplyCode.ok
        }
        return present == owner ? ReplyCode.ok : ReplyCode.sessionMoved
    }

    func setOwner(of session: Int64, to owner: Int) {
        tracked[session]?.owner = owner
    }

    /// From now on the session is refused everything.
    func beginClosing(_ session: Int64) {
        tracked[session]?.isClosing = true
    }

    func isLive(_ session: Int64) -> Bool { tracked[session].map { !$0.isClosing } ?? false }

    func remove(_ session: Int64) {
        tracked[session] = nil
    }

    func stop() {
        isStopped = true
    }

    /// The end of the tick in which the timeout passes.
    private func boundary(after timeout: Int32) -> MonotonicInstant {
        let span = machine.trueSpan(of: .milliseconds(Int64(timeout)))
        let end = simulation.now.nanoseconds - phase + span.nanoseconds
        return MonotonicInstant(nanoseconds: (end / interval + 1) * interval + phase)
    }

    private func look(at session: Int64, at instant: MonotonicInstant) {
        if due[instant] == nil {
            simulation.at(instant, by: machine) { [weak self] in self?.look(at: instant) }
        }
        due[instant, default: []].append(session)
    }

    private func look(at instant: MonotonicInstant) {
        guard !isStopped, let sessions = due.removeValue(forKey: instant) else { return }
        for session in sessions {
            guard let found = tracked[session], !found.isClosing else { continue }
            if found.expires > instant {
                look(at: session, at: found.expires)
            } else {
                beginClosing(session)
                expire(session)
            }
        }
    }
}
