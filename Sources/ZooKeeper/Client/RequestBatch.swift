internal import Synchronization

/// Requests that are all answered on one connection, or fail as if it had been lost.
///
/// A read is guaranteed to show the effect of an earlier write only on the same connection. After a reconnect, another
/// server that lags behind may answer, on which a znode does not exist yet.
package final class RequestBatch: Sendable {
    /// The number of the connection on which the first request was sent; 0 before.
    private let connection: Atomic<Int>

    /// The time until which the session was guaranteed to be alive at the first answer, in nanoseconds.
    private let sureNanoseconds = Atomic(RequestBatch.unanswered)
    private static let unanswered = Int64.max

    /// Creates a batch.
    ///
    /// - Parameter connection: The number of the connection, as in ``HeldNode/connection``; 0 for that of the first
    ///   request.
    package init(on connection: Int = 0) {
        self.connection = Atomic(connection)
    }

    /// The time until which the session was guaranteed to be alive, as known at the first answer; in the past before
    /// that.
    ///
    /// A znode that the first request has created or seen is held at least until then, unless a client deletes it.
    var sureUntil: MonotonicInstant {
        let known = sureNanoseconds.load(ordering: .acquiring)
        return known == Self.unanswered ? .distantPast : MonotonicInstant(nanoseconds: known)
    }

    /// Records an answer; the first one counts.
    func answered(sureUntil: MonotonicInstant) {
        _ = sureNanoseconds.compareExchange(
            expected: Self.unanswered, desired: sureUntil.nanoseconds, ordering: .releasing)
    }

    /// Returns whether a request may be sent on a connection; the first request decides.
    func mayUse(_ number: Int) -> Bool {
        let (isFirst, present) = connection.compareExchange(expected: 0, desired: number, ordering: .relaxed)
        return isFirst || present == number
    }
}
