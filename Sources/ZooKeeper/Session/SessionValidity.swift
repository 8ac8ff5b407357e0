/// How long a session surely lives, from what the ensemble has proved.
///
/// Pure arithmetic; ``validUntil`` is before any server could give away what the session holds. With T for the timeout:
/// - An *activity* is any answered request.
/// - An *echo* is an answered request that went to the leader and back: a write that succeeded, or a `sync`.
/// - A *proof* is a write that succeeded. It counts together with the newest echo that was answered before the proof was
///   sent, and that echo with the newest activity that was answered ``pingGap`` before the echo was sent.
/// - ``validUntil`` is T less a margin after that activity was sent; or after the connection's establishment when that is
///   newer, and older than the proof.
///
/// Reads, pings, `sync` and the state "connected" prove nothing by themselves: a follower cut from its leader, and a leader
/// cut from its quorum, answer them all while the others expire the session.
///
/// Why it holds, however late messages between servers arrive:
/// 1. The follower knew of the activity before it answered it. It tells its leader of activities when it answers the
///    leader's pings, and only then.
/// 2. The leader pings every half tick, and T is at least two ticks: a ping left after the activity's answer, and before
///    the leader handled the echo. What a leader sends to a follower arrives in order, so the follower had answered that
///    ping, telling of the activity, before it could answer the echo.
/// 3. The proof was sent after that. What a follower sends to its leader arrives in order as well, so the leader knew of
///    the activity when it handled the proof, and it was the leader, for the quorum committed the proof. It cannot expire
///    the session sooner than T after the activity; a later leader starts every session afresh, after the proof.
///
/// A client of the leader itself tells it of each activity directly; the establishment is the leader's own decision. That
/// a deposed leader answers a `sync` does no harm: the proof, on the same connection, shows that this one was the leader.
/// It takes clocks that run at the same rate within the margin, servers whose `minSessionTimeout` is at least two ticks,
/// and a leader that pings whenever it handles requests.
///
/// One value is for one session; a new session begins with a new one.
package struct SessionValidity: Sendable {
    /// What an answer shows, each more than the one before.
    package enum Answer: Sendable, Comparable {
        /// A server knows the session.
        case activity
        /// The request has been at the leader.
        case echo
        /// The quorum has committed it.
        case proof
    }

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
    /// Of the present connection.
    private var activities = AnsweredRequests()
    private var echoes = AnsweredRequests()

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
        forgetConnection()
        established = lowerBound
    }

    /// The connection is lost: what was sure stays so, and nothing is added before the next one's first proof.
    package mutating func disconnected() {
        forgetConnection()
    }

    /// A request was answered on the present connection.
    ///
    /// - Parameters:
    ///   - sent: When it was sent, or earlier.
    ///   - now: When the answer was here, or later.
    package mutating func answered(sentAt sent: MonotonicInstant, at now: MonotonicInstant, as answer: Answer) {
        if answer >= .proof { prove(sentAt: sent) }
        let request = AnsweredRequest(sent: sent, answered: now)
        activities.append(request, timeout: timeout)
        if answer >= .echo { echoes.append(request, timeout: timeout) }
    }

    private mutating func forgetConnection() {
        established = nil
        (activities, echoes) = (AnsweredRequests(), AnsweredRequests())
        isProved = false
    }

    private mutating func prove(sentAt sent: MonotonicInstant) {
        isProved = true
        var base: MonotonicInstant?
        if let established, established < sent { base = established }
        if let echo = echoes.newest(answeredBy: sent), let activity = activity(toldWith: echo.sent) {
            base = max(activity, base ?? .distantPast)
        }
        guard let base else { return }
        validUntil = max(validUntil, base + timeout * fraction)
    }

    /// The newest activity that the leader knows of for certain when an echo sent at an instant has been answered.
    private func activity(toldWith echo: MonotonicInstant) -> MonotonicInstant? {
        activities.newest(answeredBy: echo - pingGap)?.sent
    }

    /// The longest time between two pings of a leader, by this clock.
    ///
    /// Half a tick is a quarter of the timeout at most; the rest is for clocks that run apart and a ping that is sent late.
    private var pingGap: Duration { timeout * 0.27 }
}

extension SessionValidity {
    /// When to begin the next heartbeat, a `sync` and then a proof, when nothing else is sent.
    ///
    /// Every 3/10 of the timeout, before the C client's own ping: then what is sure counts from the heartbeat before. A
    /// little sooner while less than 55/100 of the timeout is sure, so that a fresh connection's first activity counts
    /// soon; and before the validity runs out, at once if it has, when a heartbeat helps then.
    ///
    /// On an idle client the validity does not lapse between heartbeats while a round trip takes less than a twelfth of the
    /// timeout, with margins from 0.1 to 0.4 less than a twentieth. Beyond that it may; with a margin over 0.65 it does.
    ///
    /// - Parameter last: When the last proof was sent.
    package func nextHeartbeat(after last: MonotonicInstant) -> MonotonicInstant {
        let isYoung = validUntil - last < timeout * 0.55
        let regular = last + timeout * min(isYoung ? 0.28 : 0.3, affordableDistance)
        let urgent = max(last, validUntil - timeout / 10)
        guard urgent < regular, let activity = activity(toldWith: urgent) else { return regular }
        let isWorthwhile = activity + timeout * fraction - validUntil >= timeout / 16
        return isWorthwhile ? urgent : regular
    }

    /// A wide margin needs more heartbeats, else the validity would run out before the next one.
    ///
    /// Heartbeats further apart than ``pingGap`` count the one before. Others count one that is older by the gap, a
    /// distance and a round trip or two. What remains must cover the next distance and the heartbeat's two round trips;
    /// a round trip is taken as a twentieth of the timeout.
    private var affordableDistance: Double {
        switch fraction {
        case 0.85...: 0.3
        case 0.78...: 0.28
        default: max((fraction - 0.52) * 0.4, 0.01)
        }
    }
}

/// When a request was sent, and when its answer was here.
private struct AnsweredRequest: Sendable {
    var sent: MonotonicInstant
    var answered: MonotonicInstant
}

/// The answered requests of about one timeout, in order: the newest, and enough of the others that for each one forgotten
/// there is one that was sent before it by a sixteenth of the timeout at most.
private struct AnsweredRequests: Sendable {
    private var kept: [AnsweredRequest] = []

    mutating func append(_ request: AnsweredRequest, timeout: Duration) {
        if isLastNeedless(before: request, grain: timeout / 16) {
            kept[kept.count - 1] = request
        } else {
            kept.append(request)
        }
        // What it could make sure has passed.
        if request.sent - kept[0].sent > timeout { kept.removeFirst() }
    }

    private func isLastNeedless(before request: AnsweredRequest, grain: Duration) -> Bool {
        guard kept.count >= 2 else { return false }
        let (older, last) = (kept[kept.count - 2], kept[kept.count - 1])
        return request.answered - older.answered < grain && last.sent - older.sent < grain
    }

    func newest(answeredBy instant: MonotonicInstant) -> AnsweredRequest? {
        kept.last { $0.answered <= instant }
    }
}
