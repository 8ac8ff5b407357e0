import CZooKeeper
import Dispatch
import Synchronization
import ZooKeeperTransport

extension CConnection {
    /// Forwards an event of the library, on its completion thread and in its order.
    fileprivate func libraryEvent(type: Int32, state: Int32, path: UnsafePointer<CChar>?, handle: Handle) {
        if type == ZOO_SESSION_EVENT {
            sessionEvent(state, handle: handle)
            return
        }
        let kind: TransportWatchEvent.Kind
        switch type {
        case ZOO_CREATED_EVENT: kind = .created
        case ZOO_DELETED_EVENT: kind = .deleted
        case ZOO_CHANGED_EVENT: kind = .dataChanged
        case ZOO_CHILD_EVENT: kind = .childrenChanged
        case ZOO_NOTWATCHING_EVENT: kind = .notWatching
        default: return
        }
        let name = unsafe path.map { unsafe String(cString: $0) } ?? ""
        receive(.watch(TransportWatchEvent(kind: kind, path: name)))
    }

    private func sessionEvent(_ sessionState: Int32, handle: Handle) {
        switch sessionState {
        case ZOO_CONNECTED_STATE:
            adopt(handle)
            addAwaitingCredentials(to: handle)
            let session = handle.session
            if session.isPlausible {
                receive(.connected(session))
            } else {
                failBecauseOfStranger()
            }
        case ZOO_READONLY_STATE:
            // Read-only mode was not requested, so no server grants it. In that state, the library would soon search
            // for another server, and crash.
            failBecauseOfStranger()
        case ZOO_CONNECTING_STATE:
            receive(.disconnected)
        case ZOO_EXPIRED_SESSION_STATE:
            state.withLock { $0.finalCode = .sessionExpired }
            receive(.expired)
        case ZOO_AUTH_FAILED_STATE:
            state.withLock { $0.finalCode = .authenticationFailed }
            receive(.authenticationFailed)
        default:
            break
        }
    }

    /// Abandons a handle whose peer is not a ZooKeeper server.
    ///
    /// The library accepts any 41 bytes as a session, so it now has a session that was not granted. It must not use it
    /// any longer.
    private func failBecauseOfStranger() {
        let receive = state.withLock { state in
            if state.phase == .opening || state.phase == .open { state.phase = .failed }
            state.finalCode = .connectionLoss
            return state.receive.take()
        }
        guard let receive else { return }
        receive(.openFailed("the process at the server's port is not a ZooKeeper server"))
        queue.async { self.destroyHandle(.keepSession) }
    }

    private func receive(_ event: TransportEvent) {
        let receive = state.withLock { $0.receive }
        receive?(event)
    }
}

extension TransportSession {
    /// Whether a ZooKeeper server can have granted this session, and it was not parsed from text or zeros.
    fileprivate var isPlausible: Bool {
        id != 0 && timeout > 0 && timeout <= 86_400_000
    }
}

/// The watcher of every handle and every watch.
///
/// Its context is the connection, which the library references.
func connectionWatcher(
    handle: OpaquePointer?, type: Int32, state: Int32, path: UnsafePointer<CChar>?, context: UnsafeMutableRawPointer?
) {
    guard let handle = unsafe handle, let context = unsafe context else { return }
    let connection = unsafe Unmanaged<CConnection>.fromOpaque(context).takeUnretainedValue()
    unsafe connection.libraryEvent(type: type, state: state, path: path, handle: Handle(handle))
}
