import ZooKeeperTransport

/// A request that was given to the C library and has not been answered.
///
/// Its address is the `data` of the C call. The connection's registry owns it until the library has called back, has
/// refused the call, or has been closed: so the address is valid whenever the library can use it.
final class PendingRequest: Sendable {
    /// Its place in the registry.
    let slot: Int
    /// Counts the connection's requests.
    let number: UInt64
    let connection: CConnection
    /// What the library writes to until it answers; for transactions only.
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

    /// What the C call is given to find the request again.
    var context: UnsafeMutableRawPointer { unsafe Unmanaged.passUnretained(self).toOpaque() }

    /// The request of a C callback.
    static func from(_ context: UnsafeRawPointer?) -> PendingRequest? {
        guard let context = unsafe context else { return nil }
        return unsafe Unmanaged<PendingRequest>.fromOpaque(context).takeUnretainedValue()
    }

    /// Completes the request, unless that has happened before.
    ///
    /// The library answers some requests itself when it is closed, with `ZCLOSING` however the session had ended.
    func finish(_ reply: @autoclosure () -> TransportReply) {
        guard connection.forget(self) else { return }
        let reply = reply()
        completion(reply.code == .closing ? TransportReply(code: connection.finalCode) : reply)
    }

    /// Completes a request that the registry no longer holds.
    func complete(_ reply: TransportReply) {
        completion(reply)
    }
}
