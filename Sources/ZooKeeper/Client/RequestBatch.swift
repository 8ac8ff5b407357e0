internal import Synchronization

/// Requests that are all answered on one connection, or fail as if it had been lost.
///
/// A read shows the effect of a write before it only on the same connection: after a reconnect another server may answer that
/// is behind, and to which a znode does not exist yet.
package final class RequestBatch: Sendable {
    /// The number of the connection on which the first request was sent; 0 before.
    private let connection: Atomic<Int>

    /// Until when the session was sure to live, in nanoseconds, as of the first answer.
    private let sureNanoseconds = Atomic(RequestBatch.unanswered)
    private static let unanswered = Int64.max

    /// - Parameter connection: The number of the connection, as ``HeldNode/connection``; 0 for that of the first request.
    package init(on connection: Int = 0) {
        self.connection = Atomic(connection)
    }

    /// Until when the session was sure to live, as far as was known with the first answer; in the past before that.
    ///
    /// What the first request has created, or seen, is held for that long at least as long as nobody deletes it.
    var sureUntil: MonotonicInstant {
        let known = sureNanoseconds.load(ordering: .acquiring)
        return known == Self.unanswered ? .distantPast : MonotonicInstant(nanoseconds: known)
    }

    /// Records an answer; the first one decides.
    func answered(sureUntil: MonotonicInstant) {
        _ = sureNanoseconds.compareExchange(
            expected: Self.unanswered, desired: sureUntil.nanoseconds, ordering: .releasing)
    }

    /// Whether a request may be sent on a connection; the first request decides.
    func mayUse(_ number: Int) -> Bool {
        let (isFirst, present) = connection.compareExchange(expected: 0, desired: number, ordering: .relaxed)
        return isFirst || present == number
    }
}
