import CZooKeeper
import ZooKeeperTransport

/// The C library's handle of one connection.
///
/// It may be used from every thread until it is closed; ``CConnection`` ensures that it is not used after that.
// Unchecked: the library protects the handle with its own locks. Only closing is exclusive, which the connection's gate
// ensures.
@safe struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = unsafe pointer
    }

    var isConnected: Bool { unsafe zoo_state(pointer) == ZOO_CONNECTED_STATE }

    /// Whether the session has expired or a credential was refused: the handle answers nothing any more.
    var isUnrecoverable: Bool { unsafe is_unrecoverable(pointer) != 0 }

    /// The session as granted by the server.
    ///
    /// It must be read when a session event reports that it was granted or resumed.
    var session: TransportSession {
        let identity = unsafe zoo_client_id(pointer).pointee
        let password = unsafe withUnsafeBytes(of: identity.passwd) { unsafe [UInt8]($0) }
        return unsafe TransportSession(
            id: identity.client_id, password: password, timeout: zoo_recv_timeout(pointer))
    }
}
