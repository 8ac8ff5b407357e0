internal import ZooKeeperTransport

#if Tracing
public import Tracing
#endif

/// How a client reaches its ensemble and what it asks of it.
public struct ZooKeeperClientConfiguration: Sendable {
    /// The servers of the ensemble; names are resolved again on every round of connecting.
    public var servers: [ServerAddress]
    /// The znode that stands for the root in all paths.
    ///
    /// `nil` for the ensemble's own root. It is not created.
    public var chroot: ZNodePath?
    /// The session timeout to ask for, at least 100 ms; the server bounds it by its own limits.
    ///
    /// A crash of this process is noticed by others after about this time. What is held stays valid between heartbeats as
    /// long as a round trip takes less than a twelfth of the timeout (a twentieth with a ``validityMargin`` over 0.1), and
    /// it outlasts a lost connection of 0.35 of the timeout in any case, 0.65 at best. Default: 10 s.
    public var sessionTimeout: Duration
    /// The part of the session timeout given away so that grants end here before the server can give them to others.
    ///
    /// It covers clocks of machines that run apart. Default: 0.05, which is 5 %.
    /// Above 0.35 an idle session sends heartbeats more often. At most 0.65: with more, grants would end between two
    /// heartbeats.
    public var validityMargin: Double
    /// How long a client that stops waits for locks that are held by handle, before it closes its session.
    ///
    /// Bodies, terms and windows are cancelled and waited for without limit. A handle may have been forgotten.
    /// Default: 30 s.
    public var handleReleaseTimeout: Duration
    /// How requests are repeated, and for how long.
    public var retry: RetryPolicy
    /// Credentials presented on every connection.
    public var auth: [AuthCredential]
    /// The access control list of created znodes, where none is given.
    ///
    /// Default: everybody may do everything.
    public var acl: [ACL]
    /// Whether missing parents are created as containers, which the server removes when they are empty, or persistent.
    ///
    /// Default: `true`, as Curator does.
    public var usesContainerParents: Bool
    /// The most requests on the wire at a time, from 1 to 4096; more wait their turn.
    ///
    /// Default: 1024.
    public var maximumRequestsInFlight: Int
    /// The limit for the first connection, counted from the start of ``ZooKeeperClient/run()``; `nil` waits without limit.
    ///
    /// Default: `nil`. When it has passed, `run()` and all requests that wait throw `.operationTimeout`, with the addresses in
    /// the message. It does not apply to later outages: a client that has had a session keeps trying to connect. Use
    /// ``ZooKeeperClient/waitUntilConnected(timeout:)`` to limit a single wait.
    public var initialConnectionTimeout: Duration?
    /// The largest packet that the client sends, in bytes; it may not be over the servers' `jute.maxbuffer`.
    ///
    /// Default: 1,048,575, which is the servers' default. A server closes the connection of a client that sends more. Where
    /// `jute.maxbuffer` was changed on the servers, set the same number here.
    ///
    /// - A request that would be larger fails with `.dataTooLarge` before it is sent, and nothing else is disturbed. All of
    ///   the request counts: its header, its path with the chroot, its data and its access control list.
    /// - After a reconnect all watches are set again in one packet. Each takes the length of its path, the chroot included,
    ///   and 4 bytes. A watch that would not fit is refused with `.invalidArgument`. Own znodes, predecessors and signals
    ///   of locks, elections and windows come first; at least a quarter is kept free for them. Caches and the program's own
    ///   watches share the rest; what a cache cannot watch it reads at intervals.
    ///
    /// Answers are not limited by this number: a list of children may be larger than a request. The client takes an answer
    /// of any size, and so does a server send it; JVM clients refuse what is over their own `jute.maxbuffer`.
    public var maximumPacketSize: Int

    #if Tracing
    /// Where spans go, one for each operation; `nil` for the tracer that the process has bootstrapped.
    public var tracer: (any Tracer)?
    #endif

    /// Makes a configuration with defaults for all but the servers.
    public init(servers: [ServerAddress], chroot: ZNodePath? = nil, sessionTimeout: Duration = .seconds(10)) {
        self.servers = servers
        self.chroot = chroot
        self.sessionTimeout = sessionTimeout
        validityMargin = 0.05
        handleReleaseTimeout = .seconds(30)
        retry = RetryPolicy()
        auth = []
        acl = [.open]
        usesContainerParents = true
        maximumRequestsInFlight = 1024
        maximumPacketSize = 1_048_575
    }

    /// Makes a configuration from a connection string: `host:port,host:port/chroot`.
    ///
    /// IPv6 addresses stand in brackets: `[::1]:2181`.
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`, naming the part that is wrong.
    public init(connectionString: String, sessionTimeout: Duration = .seconds(10)) throws(ZooKeeperError) {
        let parsed = try ConnectionString(connectionString)
        self.init(servers: parsed.servers, chroot: parsed.chroot, sessionTimeout: sessionTimeout)
    }
}

/// A server's host and client port.
public struct ServerAddress: Sendable, Hashable, CustomStringConvertible {
    /// A host name or an IP literal, without brackets.
    public var host: String
    /// The client port.
    public var port: Int

    /// Makes an address; it is checked when a client is made of it.
    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, IPv6 literals in brackets.
    public var description: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// An identity's proof: a scheme and what it wants, such as `digest` and `user:password`.
public struct AuthCredential: Sendable, Hashable {
    /// The authentication scheme.
    public var scheme: String
    /// The scheme's credential.
    public var credential: [UInt8]

    /// Makes a credential.
    public init(scheme: String, credential: [UInt8]) {
        self.scheme = scheme
        self.credential = credential
    }

    /// A user and a password for the `digest` scheme.
    public static func digest(user: String, password: String) -> AuthCredential {
        AuthCredential(scheme: "digest", credential: Array("\(user):\(password)".utf8))
    }

    var transport: TransportCredential { TransportCredential(scheme: scheme, credential: credential) }
}

/// How a request that is safe to repeat is repeated: with growing, jittered pauses until one deadline for all tries.
///
/// Safe are reads, and writes that were surely not executed.
public struct RetryPolicy: Sendable, Hashable {
    /// The time for all tries together, waiting for a connection included.
    ///
    /// Default: 30 s.
    public var deadline: Duration
    /// The first pause.
    ///
    /// Default: 50 ms.
    public var initialPause: Duration
    /// The longest pause.
    ///
    /// Default: 2 s.
    public var longestPause: Duration

    /// Makes a policy.
    public init(
        deadline: Duration = .seconds(30),
        initialPause: Duration = .milliseconds(50),
        longestPause: Duration = .seconds(2)
    ) {
        self.deadline = deadline
        self.initialPause = initialPause
        self.longestPause = longestPause
    }
}
