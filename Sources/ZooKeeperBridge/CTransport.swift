import CZooKeeper
package import Logging
package import ZooKeeperTransport

/// The transport over the ZooKeeper C client.
///
/// A connection has two threads of the C library, which deliver its answers and events, and its own queue for opening
/// and closing, which block. They run no code of users except for the closures of `Transport`.
package struct CTransport: Transport {
    /// Prepares the C library for this process.
    ///
    /// - Parameter logger: Receives the lines of the library, at debug level. The library has one log for the whole
    ///   process and cannot identify the connection of a line; the logger passed last receives all of them.
    package init(logger: Logger) {
        CLibrary.prepare(logger: logger)
    }

    /// Whether the C library of this process can encrypt connections.
    package static var supportsTLS: Bool { zkb_has_tls() == 1 }

    package func makeConnection(
        to endpoint: TransportEndpoint,
        receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection {
        CConnection(endpoint: endpoint, receive: receive)
    }
}
