internal import Logging
public import ZooKeeper

/// A task that runs alone among processors that pause for it.
///
/// Processors let each event through an ``EventGate``, which costs a few atomic operations and no request. An operator
/// opens a window with ``withWindow(id:reason:drain:timeout:_:)``: every gate closes, finishes what is inside and says so by
/// deleting its znode; then the operation runs; then the gates open again.
///
/// Guaranteed, as far as clocks run at the same rate within the validity margin: no event is inside a gate while a
/// window's operation runs, whatever crashes, freezes or is cut off, on either side. An event that goes on after its
/// permit has become invalid, because it does not heed cancellation, and an operation that does so, are outside of what
/// a client can prevent: hand their ``FencingToken``, which grows from processor to window to processor, to the store, and
/// let it refuse stale ones by the rule of ``FencingRegisters``.
///
/// ```
/// BASE/signal     ephemeral; stands while a window is wanted or open
/// BASE/locks/     a read-write lock in Curator's layout: a processor that may process holds read, a window write
/// BASE/members/   one ephemeral znode a processor
/// BASE/windows    records of the last windows
/// BASE/windows/*  one persistent znode for a window that has no record so far
/// ```
public struct ExclusiveMode: Sendable {
    /// Settings that all participants of one base path should share.
    public struct Configuration: Sendable {
        /// The time an event may take: events are admitted until the deadline less this.
        ///
        /// Must be shorter than the client's session timeout. Default: 100 ms.
        public var eventAllowance: Duration = .milliseconds(100)
        /// How long processors stay paused, and the next window's operation waits, after a window that ended without its
        /// record, because it crashed.
        ///
        /// It gives an operation that was cancelled at its deadline, or killed, time to end. Processors that start after the
        /// crash wait as well, and a window that follows does not shorten it. Default: 5 s.
        public var resumeDelay: Duration = .seconds(5)
        /// How long a gate drains before it publishes what it still waits for.
        ///
        /// Default: 500 ms.
        public var drainReportDelay: Duration = .milliseconds(500)
        /// The session timeout to reckon with for a participant that does not tell its own, such as a JVM processor.
        ///
        /// Only ``DrainPolicy/proceed(after:)`` uses it. Default: 60 s.
        public var assumedSessionTimeout: Duration = .seconds(60)

        /// Makes a configuration of defaults.
        public init() {}

        func validate(sessionTimeout: Duration) throws(ZooKeeperError) {
            let settings = [
                ("eventAllowance", eventAllowance), ("resumeDelay", resumeDelay),
                ("drainReportDelay", drainReportDelay), ("assumedSessionTimeout", assumedSessionTimeout),
            ]
            for (name, value) in settings where value < .zero {
                throw ZooKeeperError(.invalidConfiguration, message: "\(name) is \(value); it must not be negative")
            }
            guard eventAllowance < sessionTimeout else {
                throw ZooKeeperError(
                    .invalidConfiguration,
                    message:
                        "eventAllowance is \(eventAllowance); it must be shorter than the client's sessionTimeout, "
                        + "which is \(sessionTimeout), or no event would ever be admitted")
            }
        }
    }

    /// The znode that everything stands below.
    public let path: String
    /// What it was made with.
    public let configuration: Configuration

    let base: ZNodePath
    let client: ZooKeeperClient
    let logger: Logger

    /// Names an exclusive mode; nothing is sent.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`, `.invalidArgument` for the root, or `.invalidConfiguration`
    ///   naming the setting.
    public init(
        client: ZooKeeperClient, path: String, configuration: Configuration = Configuration()
    ) throws(ZooKeeperError) {
        base = try ZNodePath(path)
        guard base.string != "/" else {
            throw ZooKeeperError(
                .invalidArgument, path: path, message: "path is the root; name a znode of its own, such as /orders")
        }
        try configuration.validate(sessionTimeout: client.configuration.sessionTimeout)
        self.client = client
        self.path = path
        self.configuration = configuration
        logger = client.logger
    }

    /// Makes a gate for a processor of this process; run it as a service.
    ///
    /// - Parameter name: What operators see; the host's name and the process id by default.
    public func gate(name: String? = nil) -> EventGate {
        EventGate(mode: self, name: name ?? ProcessIdentity.current.description)
    }

    package var signalPath: String { ZNodePath.child("signal", of: path) }
    package var locksPath: String { ZNodePath.child("locks", of: path) }
    package var membersPath: String { ZNodePath.child("members", of: path) }
    package var windowsPath: String { ZNodePath.child("windows", of: path) }
}

extension ExclusiveMode {
    var numbersExhausted: RecipeError {
        RecipeError(
            .queueNumbersExhausted, in: .exclusiveMode, path: path,
            message: "\(locksPath): \(ContenderName.beyondTheLimitMessage)")
    }

    /// Creates what a gate or a window needs to stand.
    ///
    /// The containers above the records may be reaped at any moment before the records are there, but not for ever.
    func createStructure() async throws {
        var attempts = 0
        while true {
            do {
                try await client.createParents(of: ZNodePath.child("x", of: locksPath))
                try await client.createParents(of: ZNodePath.child("x", of: membersPath))
                try await client.create(windowsPath)
                return
            } catch let error as ZooKeeperError where error.code == .nodeExists {
                return
            } catch let error as ZooKeeperError where error.code == .noNode && attempts < 10 {
                attempts += 1
            }
        }
    }
}
