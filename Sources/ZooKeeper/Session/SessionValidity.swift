/// How long a session surely lives, from what the ensemble has proved.
///
/// Pure arithmetic; ``validUntil`` is before any server could give away what the session holds:
/// the timeout less a margin, counted from the newest of
/// - activity (an answered request, by its send time) at least a quarter of the timeout older than the last proof,
/// - the connection's establishment, when it is older than the last proof,
///
/// where a proof is an answered write of this session, by its send time. Reads, pings, `sync` and the state "connected"
/// prove nothing: a follower cut from its leader, and a leader cut from its quorum, answer them all while the others
/// expire the session. A write that the quorum committed was handled by the leader of that time, which a follower tells
/// of a session's activity at least every tick, on the connection on which it forwards writes; and a timeout is at least
/// two ticks. So that leader knew of the activity, and cannot expire the session sooner than a timeout after it; a later
/// leader starts every session afresh.
///
/// One value is for one session; a new session begins with a new one.
package struct SessionValidity: Sendable {
    /// The shortest timeout that was negotiated for this session.
    ///
    /// A server with other limits may negotiate a longer one later, but a new leader counts by the one that the session
    /// was created with.
    package private(set) var timeout: Duration
    /// What is sure; in the past while nothing is.
    package private(set) var validUntil: MonotonicInstant = .distantPast
    /// Whether this connection has been proved.
    package private(set) var isProved = false

    private let fraction: Double
    private var established: MonotonicInstant?
    /// Send times of answered requests on the present connection, growing, at least ``grain`` apart.
    private var activities: [MonotonicInstant] = []

    /// - Parameter margin: The part of the timeout that is given away for clocks that run apart, from 0 to below 1.
    package init(margin: Double) {
        timeout = .zero
        fraction = 1 - margin
    }

    /// The connection stands, new or again.
    ///
    /// - Parameter lowerBound: An instant after which the session was established or resumed for certain.
    ///
    /// What was sure is taken back in one case: a shorter timeout than before was negotiated, so that the server counts
    /// by that from now on.
    package mutating func connected(since lowerBound: MonotonicInstant, timeout: Duration) {
        let before = self.timeout
        self.timeout = before == .zero ? timeout : min(before, timeout)
        if timeout < before { validUntil = min(validUntil, lowerBound + timeout * fraction) }
        established = lowerBound
        activities = []
        isProved = false
    }

    /// The connection is lost: what was sure stays so, and nothing is added before the next one's first proof.
    package mutating func disconnected() {
        established = nil
        activities = []
        isProved = false
    }

    /// A request was answered on the present connection.
    ///
    /// - Parameter isProof: Whether it was a write that succeeded.
    package mutating func answered(sentAt sent: MonotonicInstant, isProof: Bool) {
        if isProof { prove(sentAt: sent) }
        if let last = activities.last, sent - last < grain { return }
        activities.append(sent)
        if let oldest = activities.first, sent - oldest > timeout { activities.removeFirst() }
    }

    private mutating func prove(sentAt sent: MonotonicInstant) {
        isProved = true
        var base: MonotonicInstant?
        if let established, established < sent { base = established }
        let told = sent - timeout / 4
        if let activity = activities.last(where: { $0 <= told }), activity > base ?? .distantPast { base = activity }
        guard let base else { return }
        validUntil = max(validUntil, base + timeout * fraction)
    }

    /// The distance between activities that are remembered.
    private var grain: Duration { timeout / 16 }
}

extension SessionValidity {
    /// When to send the next request for the session's sake, when nothing else is sent.
    ///
    /// Every 3/10 of the timeout, before the C client's own ping; a little after a quarter while less than
    /// 6/10 of the timeout is sure, so that a fresh connection's first activity counts soon.
    package func nextHeartbeat(after last: MonotonicInstant) -> MonotonicInstant {
        let isYoung = validUntil - last < timeout * 0.6
        return last + timeout * min(isYoung ? 0.26 : 0.3, affordableDistance)
    }

    /// A wide margin needs more heartbeats, else the validity would run out before the next one.
    ///
    /// A proof counts activity that is older by a quarter, a grain and one distance; what remains must cover the next
    /// distance and the round trip.
    private var affordableDistance: Double {
        fraction >= 0.65 ? 0.3 : max((fraction - 0.25 - 1 / 16) * 0.4, 0.01)
    }
}
