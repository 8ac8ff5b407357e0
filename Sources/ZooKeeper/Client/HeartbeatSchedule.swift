/// Decides when a session needs a heartbeat, and when the heartbeat loop checks again.
struct HeartbeatSchedule {
    /// The work that is due now.
    enum Step: Equatable {
        /// A read, which keeps a session alive in which nothing is held.
        case read
        /// A `sync` and then a transaction that checks what is held.
        case proof
        /// Nothing before a time; `nil` while a heartbeat is unanswered.
        case wait(until: MonotonicInstant?)
    }

    private var lastSent = MonotonicInstant.distantPast
    /// The time when the last answered write was sent.
    private var lastProofSent = MonotonicInstant.distantPast
    /// The time after which a failed heartbeat is repeated.
    private var pausedUntil = MonotonicInstant.distantPast
    private var isUnanswered = false
    /// The time until which the loop sleeps; `nil` if it sleeps until it is woken.
    private(set) var nextLook: MonotonicInstant?

    /// Records a new connection, on which a heartbeat is due immediately.
    mutating func connected() {
        let nextLook = nextLook
        self = HeartbeatSchedule()
        self.nextLook = nextLook
    }

    /// Records that a request was sent.
    mutating func sent(at instant: MonotonicInstant) { lastSent = instant }

    /// Records that a write was answered.
    mutating func proved(sentAt sent: MonotonicInstant) { lastProofSent = max(lastProofSent, sent) }

    /// Returns the time of the next heartbeat; `nil` while one is unanswered.
    func due(isHolding: Bool, validity: SessionValidity) -> MonotonicInstant? {
        guard !isUnanswered else { return nil }
        let last = isHolding ? lastProofSent : lastSent
        var due = last
        if last != .distantPast {
            due = isHolding ? validity.nextHeartbeat(after: last) : last + validity.timeout * 0.3
        }
        return isHolding ? max(due, pausedUntil) : due
    }

    /// Decides on the next heartbeat; the caller sends it if one is due.
    mutating func next(now: MonotonicInstant, isHolding: Bool, validity: SessionValidity) -> Step {
        guard let due = due(isHolding: isHolding, validity: validity) else { return .wait(until: nil) }
        guard due <= now else { return .wait(until: due) }
        isUnanswered = true
        return isHolding ? .proof : .read
    }

    /// Records that the heartbeat has ended; a failed one is repeated after 1/16 of the timeout.
    mutating func ended(isFailure: Bool, now: MonotonicInstant, timeout: Duration) {
        isUnanswered = false
        if isFailure { pausedUntil = now + timeout / 16 }
    }

    /// Makes a heartbeat due now, because the check of one held znode has failed and the others have not been checked.
    mutating func repeatAtOnce() { (lastProofSent, pausedUntil) = (.distantPast, .distantPast) }

    /// Records that the loop is about to sleep until the earliest of several times, which is returned.
    mutating func sleep(untilFirstOf instants: MonotonicInstant?...) -> MonotonicInstant? {
        nextLook = instants.compactMap(\.self).min()
        return nextLook
    }

    /// Returns whether the loop has to be woken so that it does not sleep beyond a time.
    mutating func mustWake(for instant: MonotonicInstant) -> Bool {
        if let nextLook, nextLook <= instant { return false }
        nextLook = instant
        return true
    }
}
