/// A session's number at the ensemble.
public struct SessionID: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The number as the server assigns it.
    public var rawValue: Int64

    /// Makes an id from the server's number.
    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    /// The number in hexadecimal, as the server's log writes it.
    public var description: String {
        "0x" + String(UInt64(bitPattern: rawValue), radix: 16)
    }
}

/// A session of this client, as the ensemble granted it.
public struct Session: Sendable, Hashable {
    /// The server's number for it.
    public var id: SessionID
    /// The count of this client's sessions, from 1: what belongs to one epoch is worthless in another.
    public var epoch: Int
    /// The negotiated timeout: the server ends the session when it has not heard from it for this long.
    public var timeout: Duration

    /// Makes a session's description.
    public init(id: SessionID, epoch: Int, timeout: Duration) {
        self.id = id
        self.epoch = epoch
        self.timeout = timeout
    }
}

/// Where a client stands with the ensemble.
public struct SessionState: Sendable, Hashable, CustomStringConvertible {
    enum Kind: Hashable { case connecting, connected, suspended, expired, authenticationFailed, closed }

    let kind: Kind

    /// The session this is about; `nil` while there has been none.
    public let session: Session?

    /// Not connected, and no session that could be resumed.
    public var isConnecting: Bool { kind == .connecting }
    /// Connected, with a session.
    public var isConnected: Bool { kind == .connected }
    /// The connection is lost; the session may live on, and what is held stays valid until its deadline.
    public var isSuspended: Bool { kind == .suspended }
    /// The session has ended at the server; a new one follows.
    public var isExpired: Bool { kind == .expired }
    /// The server refused a credential; the client cannot go on.
    public var isAuthenticationFailed: Bool { kind == .authenticationFailed }
    /// The client has stopped.
    public var isClosed: Bool { kind == .closed }

    static let connecting = SessionState(kind: .connecting, session: nil)
    static func connected(_ session: Session) -> SessionState { SessionState(kind: .connected, session: session) }
    static func suspended(_ session: Session) -> SessionState { SessionState(kind: .suspended, session: session) }
    static func expired(_ session: Session) -> SessionState { SessionState(kind: .expired, session: session) }
    static func authenticationFailed(_ session: Session?) -> SessionState {
        SessionState(kind: .authenticationFailed, session: session)
    }
    static func closed(_ session: Session?) -> SessionState { SessionState(kind: .closed, session: session) }

    /// The state's name, with the session and its epoch.
    public var description: String {
        guard let session else { return "\(kind)" }
        return "\(kind) (session \(session.id), epoch \(session.epoch))"
    }
}
