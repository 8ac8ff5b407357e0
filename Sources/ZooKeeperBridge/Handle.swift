import CZooKeeper
import ZooKeeperTransport

/// The C library's handle of one connection.
///
/// It may be used from every thread until it is closed; ``CConnection`` sees to it that nobody uses it longer.
// Unchecked: the library guards the handle with its own locks. Only closing is exclusive, and the connection's gate makes it so.
@safe struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = unsafe pointer
    }

    var isConnected: Bool { unsafe zoo_state(pointer) == ZOO_CONNECTED_STATE }

    /// The session has expired or a credential was refused: the handle answers nothing any more.
    var isUnrecoverable: Bool { unsafe is_unrecoverable(pointer) != 0 }

    /// The session as the server granted it.
    ///
    /// To be read when a session event says that it stands.
    var session: TransportSession {
        let identity = unsafe zoo_client_id(pointer).pointee
        let password = unsafe withUnsafeBytes(of: identity.passwd) { unsafe [UInt8]($0) }
        return unsafe TransportSession(
            id: identity.client_id, password: password, timeout: zoo_recv_timeout(pointer))
    }
}
