import ZooKeeperTransport

/// A request that was passed to the C library and has not been answered.
///
/// Its address is the `data` of the C call. The connection's registry owns it until the library has called back, has
/// refused the call, or has been closed. So the address is valid whenever the library can use it.
final class PendingRequest: Sendable {
    /// The index in the registry.
    let slot: Int
    /// The number of the request on its connection.
    let number: UInt64
    let connection: CConnection
    /// The memory that the library writes to until it answers; for transactions only.
    let results: TransactionResults?
    private let completion: @Sendable (TransportReply) -> Void

    init(
        slot: Int, number: UInt64, connection: CConnection, results: TransactionResults?,
        completion: @escaping @Sendable (TransportReply) -> Void
    ) {
        self.slot = slot
        self.number = number
        self.connection = connection
        self.results = results
        self.completion = completion
    }

    /// The pointer that the C call receives to find the request again.
    var context: UnsafeMutableRawPointer { unsafe Unmanaged.passUnretained(self).toOpaque() }

    /// The request of a C callback.
    static func from(_ context: UnsafeRawPointer?) -> PendingRequest? {
        guard let context = unsafe context else { return nil }
        return unsafe Unmanaged<PendingRequest>.fromOpaque(context).takeUnretainedValue()
    }

    /// Completes the request, unless it was completed before.
    ///
    /// When the library is closed, it answers some requests itself, with `ZCLOSING` regardless of how the session had
    /// ended.
    func finish(_ reply: @autoclosure () -> TransportReply) {
        guard connection.forget(self) else { return }
        let reply = reply()
        completion(reply.code == .closing ? TransportReply(code: connection.finalCode) : reply)
    }

    /// Completes a request that the registry does not contain any more.
    func complete(_ reply: TransportReply) {
        completion(reply)
    }
}
