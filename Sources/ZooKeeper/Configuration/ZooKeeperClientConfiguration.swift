internal import ZooKeeperTransport

#if Tracing
public import Tracing
#endif

/// The configuration of a client: its servers, timeouts, credentials and limits.
public struct ZooKeeperClientConfiguration: Sendable {
    /// The servers of the ensemble.
    ///
    /// Their names are resolved again in every round of connection attempts.
    public var servers: [ServerAddress]
    /// The znode that is the root of all paths.
    ///
    /// `nil` uses the root of the ensemble. The client does not create this znode. Default: `nil`.
    public var chroot: ZNodePath?
    /// The session timeout to request, from 100 ms to 1,073,741,823 ms; the server adjusts it to its own limits.
    ///
    /// After a crash of this process, other clients notice it after about this time. Everything held stays valid
    /// between heartbeats while a round trip takes less than 1/12 of the timeout (1/20 if ``validityMargin`` is above
    /// 0.1). It stays valid through a lost connection of 0.35 of the timeout in any case, and of 0.65 of it at best.
    /// Default: 10 s.
    public var sessionTimeout: Duration
    /// The fraction of the session timeout by which grants end before the server can grant them to other clients.
    ///
    /// The margin compensates for clocks of different machines that run at different rates. If it is above 0.35, an
    /// idle session sends heartbeats more often. The maximum is 0.65: with a larger margin, grants would end between
    /// two heartbeats. Default: 0.05, which is 5 %.
    public var validityMargin: Double
    /// The time that a stopping client waits for locks held through a handle, before it closes its session.
    ///
    /// A handle may have been forgotten. Operations under locks, leadership terms and windows are cancelled instead,
    /// and the client waits for them without limit. Default: 30 s.
    public var handleReleaseTimeout: Duration
    /// The policy for repeating requests.
    ///
    /// Default: the defaults of ``RetryPolicy``.
    public var retry: RetryPolicy
    /// The credentials that the client presents on every connection.
    ///
    /// Default: none.
    public var auth: [AuthCredential]
    /// The certificates for an encrypted connection; `nil` connects without encryption.
    ///
    /// A client cannot be created with this setting if the ZooKeeper C library of the process has no TLS, as that of
    /// Debian 12; see ``TLSConfiguration``. Default: `nil`.
    public var tls: TLSConfiguration?
    /// The access control list of created znodes, if the request specifies none.
    ///
    /// Default: ``ACL/openUnsafe``, which allows everything to every client.
    public var acl: [ACL]
    /// Whether missing parents are created as containers, which the server deletes when they are empty, or as
    /// persistent znodes.
    ///
    /// Default: `true`, which creates containers, as Curator does.
    public var usesContainerParents: Bool
    /// The maximum number of unanswered requests, from 1 to 4096; further requests wait.
    ///
    /// Default: 1024.
    public var maximumRequestsInFlight: Int
    /// The limit for the first connection, counted from the start of ``ZooKeeperClient/run()``; `nil` waits without
    /// limit.
    ///
    /// When it has passed, `run()` and all waiting requests throw `.operationTimeout`, with the addresses in the
    /// message. It does not apply to later outages: a client that has had a session keeps trying to connect. Use
    /// ``ZooKeeperClient/waitUntilConnected(timeout:)`` to limit a single wait. Default: `nil`.
    public var initialConnectionTimeout: Duration?
    /// The maximum size of a packet that the client sends, in bytes; it must not exceed `jute.maxbuffer` of the
    /// servers.
    ///
    /// A server closes the connection of a client that sends a larger packet. If `jute.maxbuffer` was changed on the
    /// servers, set the same number here. Default: 1,048,575, which is the default of the servers.
    ///
    /// - A larger request fails with `.dataTooLarge` before it is sent, and does not affect other requests. The size
    ///   includes the header, the path with the chroot, the data and the access control list.
    /// - After a reconnect, all watches are set again in one packet. Each takes the length of its path, including the
    ///   chroot, and 4 bytes. A watch that would not fit is refused with `.invalidArgument`. Watches on the held
    ///   znodes, predecessors and signals of locks, elections and windows have priority; at least a quarter of the room
    ///   is reserved for them. Caches and the program's own watches share the rest. A cache reads znodes that it cannot
    ///   watch at intervals.
    ///
    /// This setting does not limit answers: a list of children may be larger than a request. The client accepts an
    /// answer of any size, and servers send answers of any size. JVM clients refuse answers above their own
    /// `jute.maxbuffer`.
    public var maximumPacketSize: Int

    #if Tracing
    /// The tracer that receives one span per operation; `nil` uses the tracer that the process has bootstrapped.
    ///
    /// Default: `nil`.
    public var tracer: (any Tracer)?
    #endif

    /// Creates a configuration with the default values of all other settings.
    ///
    /// - Parameters:
    ///   - servers: The servers of the ensemble.
    ///   - chroot: The znode that is the root of all paths; `nil` uses the root of the ensemble. Default: `nil`.
    ///   - sessionTimeout: The session timeout to request. Default: 10 s.
    public init(servers: [ServerAddress], chroot: ZNodePath? = nil, sessionTimeout: Duration = .seconds(10)) {
        self.servers = servers
        self.chroot = chroot
        self.sessionTimeout = sessionTimeout
        validityMargin = 0.05
        handleReleaseTimeout = .seconds(30)
        retry = RetryPolicy()
        auth = []
        acl = [.openUnsafe]
        usesContainerParents = true
        maximumRequestsInFlight = 1024
        maximumPacketSize = 1_048_575
    }

    /// Creates a configuration from a connection string: `host:port,host:port/chroot`.
    ///
    /// IPv6 addresses are written in brackets: `[::1]:2181`.
    ///
    /// - Parameters:
    ///   - connectionString: The servers and an optional chroot.
    ///   - sessionTimeout: The session timeout to request. Default: 10 s.
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`, whose message names the invalid component.
    public init(connectionString: String, sessionTimeout: Duration = .seconds(10)) throws(ZooKeeperError) {
        let parsed = try ConnectionString(connectionString)
        self.init(servers: parsed.servers, chroot: parsed.chroot, sessionTimeout: sessionTimeout)
    }
}

/// The host and the client port of a server.
public struct ServerAddress: Sendable, Hashable, CustomStringConvertible {
    /// A host name or an IP literal, without brackets.
    public var host: String
    /// The client port.
    public var port: Int

    /// Creates an address; it is validated when a client is created with it.
    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// The address as `host:port`, with IPv6 literals in brackets.
    public var description: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// A credential for authentication: a scheme and its data, such as `digest` and `user:password`.
public struct AuthCredential: Sendable, Hashable {
    /// The authentication scheme.
    public var scheme: String
    /// The credential in the format of the scheme.
    public var credential: [UInt8]

    /// Creates a credential.
    public init(scheme: String, credential: [UInt8]) {
        self.scheme = scheme
        self.credential = credential
    }

    /// Returns a credential for the `digest` scheme.
    public static func digest(user: String, password: String) -> AuthCredential {
        AuthCredential(scheme: "digest", credential: Array("\(user):\(password)".utf8))
    }

    var transport: TransportCredential { TransportCredential(scheme: scheme, credential: credential) }
}

extension AuthCredential: CustomStringConvertible, CustomReflectable {
    /// The scheme, without the credential, so that logs contain no secrets.
    public var description: String { "\(scheme):<hidden>" }

    /// A mirror without the credential, for `dump` and debuggers.
    public var customMirror: Mirror { Mirror(self, children: ["scheme": scheme]) }
}

/// The policy for repeating a request that is safe to repeat: growing delays with jitter, and one timeout for all
/// attempts.
///
/// Reads are safe to repeat, and so are writes that were certainly not executed.
public struct RetryPolicy: Sendable, Hashable {
    /// The limit for all attempts together, including the wait for a connection.
    ///
    /// Default: 30 s.
    public var timeout: Duration
    /// The delay before the second attempt.
    ///
    /// Default: 50 ms.
    public var initialDelay: Duration
    /// The longest delay between two attempts.
    ///
    /// Default: 2 s.
    public var maximumDelay: Duration

    /// Creates a policy.
    ///
    /// - Parameters:
    ///   - timeout: The limit for all attempts together, including the wait for a connection. Default: 30 s.
    ///   - initialDelay: The delay before the second attempt. Default: 50 ms.
    ///   - maximumDelay: The longest delay between two attempts. Default: 2 s.
    public init(
        timeout: Duration = .seconds(30),
        initialDelay: Duration = .milliseconds(50),
        maximumDelay: Duration = .seconds(2)
    ) {
        self.timeout = timeout
        self.initialDelay = initialDelay
        self.maximumDelay = maximumDelay
    }
}
