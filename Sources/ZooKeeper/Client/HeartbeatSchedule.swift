/// When a session needs a request of its own, and when the loop that sees to it looks again.
struct HeartbeatSchedule {
    /// What is due now.
    enum Step: Equatable {
        /// A read, which keeps a session alive that holds nothing.
        case read
        /// A `sync` and then a proof of what is held.
        case proof
        /// Nothing before an instant; `nil` while a heartbeat is unanswered.
        case wait(until: MonotonicInstant?)
    }

    private var lastSent = MonotonicInstant.distantPast
    /// When the last write that was answered was sent.
    private var lastProofSent = MonotonicInstant.distantPast
    /// A proof that failed is repeated after this.
    private var pausedUntil = MonotonicInstant.distantPast
    private var isUnanswered = false
    /// Until when the loop sleeps; `nil` for until it is woken.
    private(set) var nextLook: MonotonicInstant?

    /// On a new connection a heartbeat is due at once.
    mutating func connected() {
        let nextLook = nextLook
        self = HeartbeatSchedule()
        self.nextLook = nextLook
    }

    /// Some request was sent.
    mutating func sent(at instant: MonotonicInstant) { lastSent = instant }

    /// A write was answered.
    mutating func proved(sentAt sent: MonotonicInstant) { lastProofSent = max(lastProofSent, sent) }

    /// Decides on the next heartbeat; the caller sends it if one is due.
    mutating func next(now: MonotonicInstant, isHolding: Bool, validity: SessionValidity) -> Step {
        guard !isUnanswered else { return .wait(until: nil) }
        let last = isHolding ? lastProofSent : lastSent
        var due = last
        if last != .distantPast {
            due = isHolding ? validity.nextHeartbeat(after: last) : last + validity.timeout * 0.3
        }
        if isHolding { due = max(due, pausedUntil) }
        guard due <= now else { return .wait(until: due) }
        isUnanswered = true
        return isHolding ? .proof : .read
    }

    /// The heartbeat has ended; one that failed is repeated after a sixteenth of the timeout.
    mutating func ended(isFailure: Bool, now: MonotonicInstant, timeout: Duration) {
        isUnanswered = false
        if isFailure { pausedUntil = now + timeout / 16 }
    }

    /// One own znode's check has failed: the others need their proof now.
    mutating func repeatAtOnce() { (lastProofSent, pausedUntil) = (.distantPast, .distantPast) }

    /// The loop is about to sleep until the first of some instants, which is returned.
    mutating func sleep(untilFirstOf instants: MonotonicInstant?...) -> MonotonicInstant? {
        nextLook = instants.compactMap(\.self).min()
        return nextLook
    }

    /// Whether the loop has to be woken so that it does not sleep beyond an instant.
    mutating func mustWake(for instant: MonotonicInstant) -> Bool {
        if let nextLook, nextLook <= instant { return false }
        nextLook = instant
        return true
    }
}
