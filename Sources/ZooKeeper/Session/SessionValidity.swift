/// Computes how long a session is guaranteed to be alive, from the answers of the ensemble.
///
/// It is pure arithmetic. ``validUntil`` is before the time when any server could grant to another client what the
/// session holds. With T for the timeout:
/// - An *activity* (`.activity`) is any answered request.
/// - A *leader round trip* (`.echo`) is an answered request that went to the leader and back: a write that succeeded,
///   or a `sync`.
/// - A *quorum commit* (`.proof`) is a write that succeeded. It counts together with the newest leader round trip that
///   was answered before the commit was sent. That round trip counts together with the newest activity that was
///   answered ``pingGap`` before the round trip was sent.
/// - ``validUntil`` is T less a margin after that activity was sent; or after the connection was established, if that
///   is later, and earlier than the commit was sent.
///
/// Reads, pings, `sync` and the state "connected" are no evidence by themselves: a follower that is cut off from its
/// leader, and a leader that is cut off from its quorum, answer them all while the other servers expire the session.
///
/// Why this is correct, however late messages between servers arrive:
/// 1. The follower had registered the activity before it answered it. It reports activities to its leader when it
///    answers the leader's pings, and only then.
/// 2. The leader pings every half tick, and T is at least two ticks. So the leader sent a ping after the activity's
///    answer, and before it handled the leader round trip. Messages from a leader to a follower arrive in order. So the
///    follower had answered that ping, which reported the activity, before it could answer the leader round trip.
/// 3. The quorum commit was sent after that. Messages from a follower to its leader arrive in order as well. So the
///    leader had registered the activity when it handled the commit, and it was the leader, because the quorum
///    committed the write. It cannot expire the session earlier than T after the activity. A later leader restarts the
///    timeout of every session, after the commit.
///
/// If the client is connected to the leader, the leader registers each activity directly, and the establishment is its
/// own decision. A deposed leader that answers a `sync` does no harm: the commit, on the same connection, shows that
/// this server was the leader. The computation requires clocks that run at the same rate within the margin, servers
/// whose `minSessionTimeout` is at least two ticks, and a leader that sends pings whenever it handles requests.
///
/// One value is for one session; a new session starts with a new value.
package struct SessionValidity: Sendable {
    /// The evidence that an answer gives, in increasing order.
    package enum Answer: Sendable, Comparable {
        /// A server has the session.
        case activity
        /// The request has been at the leader.
        case echo
        /// The quorum has committed the request.
        case proof
    }

    /// The shortest timeout that was negotiated for this session.
    ///
    /// A server with other limits may negotiate a longer one later, but a new leader uses the timeout that the session
    /// was created with.
    package private(set) var timeout: Duration
    /// The time until which the session is guaranteed to be alive; in the past while there is no guarantee.
    package private(set) var validUntil: MonotonicInstant = .distantPast
    /// Whether a quorum commit was answered on this connection.
    package private(set) var isProved = false

    private let fraction: Double
    private var established: MonotonicInstant?
    /// The evidence of the current connection.
    private var activities = AnsweredRequests()
    private var echoes = AnsweredRequests()

    /// Creates a value for a new session.
    ///
    /// - Parameter margin: The fraction of the timeout reserved for clocks that run at different rates, from 0 to below
    ///   1.
    package init(margin: Double) {
        timeout = .zero
        fraction = 1 - margin
    }

    /// Records that the connection is established, for the first time or again.
    ///
    /// The validity is reduced in one case: if a shorter timeout than before was negotiated, because the server uses
    /// that timeout from then on.
    ///
    /// - Parameter lowerBound: A lower bound for the time when the session was established or resumed.
    package mutating func connected(since lowerBound: MonotonicInstant, timeout: Duration) {
        let before = self.timeout
        self.timeout = before == .zero ? timeout : min(before, timeout)
        if timeout < before { validUntil = min(validUntil, lowerBound + timeout * fraction) }
        forgetConnection()
        established = lowerBound
    }

    /// Records that the connection is lost: the validity remains, and is not extended before the next quorum commit.
    package mutating func disconnected() {
        forgetConnection()
    }

    /// Records that a request was answered on the current connection.
    ///
    /// - Parameters:
    ///   - sent: The time when the request was sent, or an earlier one.
    ///   - now: The time when the answer was received, or a later one.
    ///   - answer: The evidence that the answer gives.
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

    /// Returns the newest activity that the leader certainly registered before it answered a leader round trip sent at
    /// a time.
    private func activity(toldWith echo: MonotonicInstant) -> MonotonicInstant? {
        activities.newest(answeredBy: echo - pingGap)?.sent
    }

    /// The longest time between two pings of a leader, by this clock.
    ///
    /// Half a tick is at most a quarter of the timeout. The rest allows for clocks that run at different rates, and for
    /// a ping that is sent late.
    private var pingGap: Duration { timeout * 0.27 }
}

extension SessionValidity {
    /// Returns the time of the next heartbeat, a `sync` and then a quorum commit, if nothing else is sent.
    ///
    /// The heartbeat is every 3/10 of the timeout, which is before the C client's own ping; the validity then counts
    /// from the previous heartbeat. It is slightly earlier while less than 55/100 of the timeout is guaranteed, so that
    /// the first activity of a new connection counts soon. It is also before the validity ends, or immediate if it has
    /// ended, if a heartbeat helps at that time.
    ///
    /// On an idle client, the validity does not lapse between heartbeats while a round trip takes less than 1/12 of the
    /// timeout, or less than 1/20 with margins from 0.1 to 0.4. Above that it may lapse; with a margin above 0.65 it
    /// does.
    ///
    /// - Parameter last: The time when the last quorum commit was sent.
    package func nextHeartbeat(after last: MonotonicInstant) -> MonotonicInstant {
        let isYoung = validUntil - last < timeout * 0.55
        let regular = last + timeout * min(isYoung ? 0.28 : 0.3, affordableDistance)
        let urgent = max(last, validUntil - timeout / 10)
        guard urgent < regular, let activity = activity(toldWith: urgent) else { return regular }
        let isWorthwhile = activity + timeout * fraction - validUntil >= timeout / 16
        return isWorthwhile ? urgent : regular
    }

    /// The longest distance of heartbeats for the margin, as a fraction of the timeout.
    ///
    /// A wide margin needs more heartbeats, because otherwise the validity would end before the next one. Heartbeats
    /// further apart than ``pingGap`` count the previous one. Others count one that is older by the gap, a distance and
    /// one or two round trips. The remainder must cover the next distance and the two round trips of the heartbeat; a
    /// round trip is assumed to take 1/20 of the timeout.
    private var affordableDistance: Double {
        switch fraction {
        case 0.85...: 0.3
        case 0.78...: 0.28
        default: max((fraction - 0.52) * 0.4, 0.01)
        }
    }
}

/// The times when a request was sent and when its answer was received.
private struct AnsweredRequest: Sendable {
    var sent: MonotonicInstant
    var answered: MonotonicInstant
}

/// The answered requests of about one timeout, in order.
///
/// It keeps the newest request. For each request that it discards, it keeps one that was sent earlier by at most 1/16
/// of the timeout.
private struct AnsweredRequests: Sendable {
    private var kept: [AnsweredRequest] = []

    mutating func append(_ request: AnsweredRequest, timeout: Duration) {
        if isLastNeedless(before: request, grain: timeout / 16) {
            kept[kept.count - 1] = request
        } else {
            kept.append(request)
        }
        // The validity that it could give has passed.
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
