/// The ID of a session, a number assigned by the ensemble.
public struct SessionID: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The number as assigned by the server.
    public var rawValue: Int64

    /// Creates an ID from the number assigned by the server.
    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    /// The number in hexadecimal, as the server's log writes it.
    public var description: String {
        "0x" + String(UInt64(bitPattern: rawValue), radix: 16)
    }
}

/// A session of this client, as granted by the ensemble.
public struct Session: Sendable, Hashable {
    /// The ID of the session.
    public var id: SessionID
    /// The number of this session among the sessions of this client, starting at 1.
    ///
    /// State that belongs to one epoch is invalid in every other epoch.
    public var epoch: Int
    /// The negotiated timeout: the server expires the session if it receives nothing from the client for this long.
    public var timeout: Duration

    /// Creates the description of a session.
    public init(id: SessionID, epoch: Int, timeout: Duration) {
        self.id = id
        self.epoch = epoch
        self.timeout = timeout
    }
}

/// The state of a client's session.
///
/// Switch over it, or use a property such as ``isConnected``.
public enum SessionState: Sendable, Hashable, CustomStringConvertible {
    /// There is no connection, and no session that could be resumed.
    case connecting
    /// The client is connected with a session.
    case connected(Session)
    /// The connection is lost. The session may still exist, and grants stay valid until their deadline.
    case suspended(Session)
    /// The session has ended at the server. The client starts a new one.
    case expired(Session)
    /// The server has refused a credential, and the client stops. The session is `nil` if there was none.
    case authenticationFailed(Session?)
    /// The client has stopped. The session is the last one; `nil` if there was none.
    case closed(Session?)

    /// The session that the state is about; `nil` if there has been none.
    public var session: Session? {
        switch self {
        case .connecting: nil
        case .connected(let session), .suspended(let session), .expired(let session): session
        case .authenticationFailed(let session), .closed(let session): session
        }
    }

    /// Whether the state is ``connected(_:)``.
    public var isConnected: Bool { if case .connected = self { true } else { false } }
    /// Whether the state is ``suspended(_:)``.
    public var isSuspended: Bool { if case .suspended = self { true } else { false } }
    /// Whether the state is ``expired(_:)``.
    public var isExpired: Bool { if case .expired = self { true } else { false } }
    /// Whether the state is ``closed(_:)``.
    public var isClosed: Bool { if case .closed = self { true } else { false } }

    /// The name of the state alone, for logs and metrics.
    var name: String {
        switch self {
        case .connecting: "connecting"
        case .connected: "connected"
        case .suspended: "suspended"
        case .expired: "expired"
        case .authenticationFailed: "authenticationFailed"
        case .closed: "closed"
        }
    }

    /// The name of the state, with the session and its epoch.
    public var description: String {
        guard let session else { return name }
        return "\(name) (session \(session.id), epoch \(session.epoch))"
    }
}
