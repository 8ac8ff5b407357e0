/// The seam between the client and whatever carries its requests: the C library here, an ensemble in memory in tests.
///
/// A connection delivers everything it has to say, completions and events alike, one at a time and in the order in which
/// the server sent them. The closures are called on the transport's own thread: they must not block and must not run
/// anybody's code; they note the fact, resume who waits, and return.
package protocol Transport: Sendable {
    /// Makes a connection that has not been opened. Nothing is sent and nothing is received before ``TransportConnection/open()``.
    func makeConnection(
        to endpoint: TransportEndpoint,
        receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection
}

/// One session's way to the ensemble.
///
/// It reconnects by itself among the servers it was given, for as long as it is open.
package protocol TransportConnection: AnyObject, Sendable {
    /// Begins to connect. Returns at once; the outcome arrives as an event.
    func open()

    /// Sends a request, or refuses it.
    ///
    /// The completion is called exactly once, at the latest before ``close(_:)`` returns. A request that is refused
    /// before anything was sent completes on the calling thread, before this call returns. Requests that are submitted
    /// one after the other from one thread are sent, executed and answered in that order.
    /// The completion of ``TransportRequest/addAuth(scheme:credential:)`` alone is not ordered with the others.
    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void)

    /// Ends the connection. When it returns, every request has completed and no event will come any more.
    ///
    /// - Returns: `true` if the session was certainly not ended at the server by this call.
    @discardableResult
    func close(_ end: TransportClose) async -> Bool
}

/// What becomes of the session when its connection is closed.
package enum TransportClose: Sendable {
    /// The session is closed on the server, if it can be reached: its ephemeral nodes are gone when the close returns.
    case endSession
    /// The server is told nothing: the session lives on until its timeout, for another connection to resume.
    case keepSession
}

/// Where to connect, and as whom.
package struct TransportEndpoint: Sendable {
    /// Addresses with ports, IP literals only: `127.0.0.1:2181`, `[::1]:2181`.
    ///
    /// They are tried in this order.
    package var servers: [String]
    /// The session timeout to ask for, in milliseconds.
    package var sessionTimeout: Int32
    /// The session to resume; `nil` begins a new one.
    package var session: TransportSession?
    /// Credentials to present on every connect.
    package var credentials: [TransportCredential]

    package init(
        servers: [String],
        sessionTimeout: Int32,
        session: TransportSession? = nil,
        credentials: [TransportCredential] = []
    ) {
        self.servers = servers
        self.sessionTimeout = sessionTimeout
        self.session = session
        self.credentials = credentials
    }
}

/// A session as the server granted it.
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
    /// The session stands, new or resumed. May come again without a loss in between.
    case connected(TransportSession)
    /// The connection was lost. Comes before the completions that fail because of it.
    case disconnected
    /// The server no longer knows the session. Nothing but completions comes after this.
    case expired
    /// A credential was refused. Nothing but completions comes after this.
    case authenticationFailed
    /// The transport could not be set up, or what answered is not a ZooKeeper server; the text says why.
    ///
    /// Nothing but completions comes after this.
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

/// The answer to a request: its code, and what came with it.
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
    /// One result an operation, also when the transaction failed: then the failing one has its code, those before it `.ok`
    /// and those after it `.runtimeInconsistency`, and none was executed.
    case multi([TransportOperationResult])
}

package struct TransportOperationResult: Sendable, Equatable {
    package var code: ReplyCode
    /// The created node's path.
    package var path: String?
    /// The stat after `setData`.
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
    /// Wall clock of the server, in milliseconds since 1970.
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
