/// The interface between the client and what carries its requests: the C library, or an ensemble in memory in tests.
///
/// A connection delivers completions and events one at a time, in the server's order. The closures are called on the
/// transport's own thread. They must not block and must not run code of users: they record the fact, resume waiting
/// tasks, and return.
package protocol Transport: Sendable {
    /// Creates a connection that is not open.
    ///
    /// Nothing is sent or received before ``TransportConnection/open()`` is called.
    func makeConnection(
        to endpoint: TransportEndpoint,
        receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection
}

/// The connection of one session to the ensemble.
///
/// It reconnects by itself among the servers it was given, for as long as it is open.
package protocol TransportConnection: AnyObject, Sendable {
    /// Starts to connect.
    ///
    /// It returns immediately; the outcome is delivered as an event.
    func open()

    /// Sends a request, or refuses it.
    ///
    /// The completion is called exactly once, at the latest before ``close(_:)`` returns. If a request is refused
    /// before anything was sent, its completion is called on the calling thread, before this call returns. Requests
    /// that are submitted one after the other from one thread are sent, executed and answered in that order. Only the
    /// completion of ``TransportRequest/addAuth(_:)`` is not ordered with the others.
    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void)

    /// Closes the connection.
    ///
    /// When it returns, every request has completed and no more events will be delivered.
    ///
    /// - Returns: `true` if this call certainly did not end the session at the server.
    @discardableResult
    func close(_ end: TransportClose) async -> Bool
}

/// The fate of the session when its connection is closed.
package enum TransportClose: Sendable {
    /// The session is closed on the server, if it can be reached: its ephemeral znodes are deleted when the close
    /// returns.
    case endSession
    /// Nothing is sent to the server: the session stays alive until its timeout, and another connection can resume it.
    case keepSession
}

/// The servers to connect to, with the session and the credentials.
package struct TransportEndpoint: Sendable {
    /// Addresses with ports, IP literals only: `127.0.0.1:2181`, `[::1]:2181`.
    ///
    /// They are tried in this order.
    package var servers: [String]
    /// The session timeout to request, in milliseconds.
    package var sessionTimeout: Int32
    /// The session to resume; `nil` starts a new one.
    package var session: TransportSession?
    /// The credentials to present on every connection.
    package var credentials: [TransportCredential]
    /// The files for an encrypted connection; `nil` connects without encryption.
    package var tls: TransportTLS?

    package init(
        servers: [String],
        sessionTimeout: Int32,
        session: TransportSession? = nil,
        credentials: [TransportCredential] = [],
        tls: TransportTLS? = nil
    ) {
        self.servers = servers
        self.sessionTimeout = sessionTimeout
        self.session = session
        self.credentials = credentials
        self.tls = tls
    }
}

/// The files for an encrypted connection, without commas and NUL bytes in their paths.
package struct TransportTLS: Sendable, Equatable {
    package var certificateAuthority: String
    package var certificate: String
    package var privateKey: String
    /// The password of the private key; `nil` if the key is not encrypted.
    package var password: String?

    package init(certificateAuthority: String, certificate: String, privateKey: String, password: String? = nil) {
        self.certificateAuthority = certificateAuthority
        self.certificate = certificate
        self.privateKey = privateKey
        self.password = password
    }
}

/// A session as granted by the server.
package struct TransportSession: Sendable, Equatable {
    package var id: Int64
    package var password: [UInt8]
    /// The negotiated timeout, in milliseconds.
    package var timeout: Int32

    package init(id: Int64, password: [UInt8], timeout: Int32) {
        self.id = id
        self.password = password
        self.timeout = timeout
    }
}

package struct TransportCredential: Sendable, Equatable {
    package var scheme: String
    package var credential: [UInt8]

    package init(scheme: String, credential: [UInt8]) {
        self.scheme = scheme
        self.credential = credential
    }
}

package enum TransportEvent: Sendable {
    /// The session was granted or resumed; may be delivered again without a loss in between.
    case connected(TransportSession)
    /// The connection was lost; delivered before the completions that fail because of it.
    case disconnected
    /// The session does not exist on the server any more; only completions follow.
    case expired
    /// A credential was refused; only completions follow.
    case authenticationFailed
    /// The transport could not be set up, or the peer is not a ZooKeeper server; the text is the reason.
    ///
    /// Only completions follow.
    case openFailed(String)
    case watch(TransportWatchEvent)
}

package struct TransportWatchEvent: Sendable, Equatable {
    package enum Kind: Sendable { case created, deleted, dataChanged, childrenChanged, notWatching }
    package var kind: Kind
    package var path: String

    package init(kind: Kind, path: String) {
        self.kind = kind
        self.path = path
    }
}

/// The answer to a request: its code and its content.
package struct TransportReply: Sendable {
    package var code: ReplyCode
    package var body: TransportBody

    package init(code: ReplyCode, body: TransportBody = .none) {
        self.code = code
        self.body = body
    }
}

package enum TransportBody: Sendable {
    case none
    case created(path: String, TransportStat)
    case stat(TransportStat)
    case data([UInt8]?, TransportStat)
    case children([String], TransportStat)
    case acl([TransportACL], TransportStat)
    /// One result per operation, also if the transaction failed.
    ///
    /// In a failed transaction, the failed operation has its code, the operations before it have `.ok`, and those after
    /// it have `.runtimeInconsistency`; none was executed.
    case multi([TransportOperationResult])
}

package struct TransportOperationResult: Sendable, Equatable {
    package var code: ReplyCode
    /// The path of the created znode.
    package var path: String?
    /// The stat of the znode after `setData`.
    package var stat: TransportStat?

    package init(code: ReplyCode, path: String? = nil, stat: TransportStat? = nil) {
        self.code = code
        self.path = path
        self.stat = stat
    }
}

package struct TransportStat: Sendable, Equatable {
    package var czxid: Int64
    package var mzxid: Int64
    package var pzxid: Int64
    /// The wall clock of the server, in milliseconds since 1970.
    package var ctime: Int64
    package var mtime: Int64
    package var version: Int32
    package var cversion: Int32
    package var aversion: Int32
    package var ephemeralOwner: Int64
    package var dataLength: Int32
    package var numChildren: Int32

    package init(
        czxid: Int64, mzxid: Int64, pzxid: Int64, ctime: Int64, mtime: Int64, version: Int32, cversion: Int32,
        aversion: Int32, ephemeralOwner: Int64, dataLength: Int32, numChildren: Int32
    ) {
        self.czxid = czxid
        self.mzxid = mzxid
        self.pzxid = pzxid
        self.ctime = ctime
        self.mtime = mtime
        self.version = version
        self.cversion = cversion
        self.aversion = aversion
        self.ephemeralOwner = ephemeralOwner
        self.dataLength = dataLength
        self.numChildren = numChildren
    }
}
