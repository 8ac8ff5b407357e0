internal import Synchronization

/// Requests that are all answered on one connection, or fail as if it had been lost.
///
/// A read shows the effect of a write before it only on the same connection: after a reconnect another server may answer that
/// is behind, and to which a znode does not exist yet.
package final class RequestBatch: Sendable {
    /// The number of the connection on which the first request was sent; 0 before.
    private let connection = Atomic(0)

    package init() {}

    /// Whether a request may be sent on a connection; the first request decides.
    func mayUse(_ number: Int) -> Bool {
        let (isFirst, present) = connection.compareExchange(expected: 0, desired: number, ordering: .relaxed)
        return isFirst || present == number
    }
}
