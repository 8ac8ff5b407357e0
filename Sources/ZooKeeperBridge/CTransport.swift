package import Logging
package import ZooKeeperTransport

/// The transport over the ZooKeeper C client.
///
/// A connection has two threads of the C library, which deliver its answers and events, and a queue of its own for what
/// blocks: opening and closing. Neither runs anybody's code but the closures of the seam.
package struct CTransport: Transport {
    /// Prepares the C library for this process.
    ///
    /// - Parameter logger: Receives the library's own lines, at debug level. The library has one log for the whole process
    ///   and cannot say which connection a line is about; the logger given last receives all of them.
    package init(logger: Logger) {
        CLibrary.prepare(logger: logger)
    }

    package func makeConnection(
        to endpoint: TransportEndpoint,
        receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection {
        CConnection(endpoint: endpoint, receive: receive)
    }
}
