internal import Logging
public import ZooKeeper

/// A mode in which a task runs alone among processors that pause for it.
///
/// Processors pass each event through an ``EventGate``, which takes a few atomic operations and no request. An operator
/// opens a window with ``withWindow(id:reason:drain:timeout:_:)``: every gate closes, finishes the events inside, and
/// acknowledges this by deleting its znode. Then the operation runs, and the gates open again.
///
/// If clocks run at the same rate within the validity margin, no event is inside a gate while a window's operation
/// runs. This holds whichever process crashes, freezes or is disconnected, on either side. The guarantee excludes an
/// event that ignores its cancellation and continues after its permit has become invalid, and an operation that does
/// so, because a client cannot stop them. Pass their ``FencingToken`` to the store, and let the store refuse stale
/// tokens by the rule of ``FencingRegisters``. The token increases from processors to a window to the processors after
/// it.
///
/// ```
/// BASE/signal     exists while a window is requested or open (ephemeral), or while there are holds (persistent)
/// BASE/locks/     a read-write lock in Curator's layout: a processor that may process holds read, a window write
/// BASE/members/   one ephemeral znode per processor
/// BASE/windows    records of the last windows
/// BASE/windows/*  one persistent znode for each window that has no record yet, and one for each hold
/// ```
public struct ExclusiveMode: Sendable {
    /// The settings that all participants of one base path should share.
    public struct Configuration: Sendable {
        /// The time that an event may take: events are admitted until this long before the deadline.
        ///
        /// It must be shorter than the client's session timeout. Default: 100 ms.
        public var eventAllowance: Duration = .milliseconds(100)
        /// The pause after a window that ended without a record, because it crashed.
        ///
        /// Processors stay paused for this time, and the operation of the next window waits for it. It gives an
        /// operation that was cancelled at its deadline, or killed, time to end. Processors that start after the crash
        /// wait as well, and a later window does not shorten the wait. Default: 5 s.
        public var resumeDelay: Duration = .seconds(5)
        /// The time for which a gate drains before it reports which events it still waits for.
        ///
        /// Default: 500 ms.
        public var drainReportDelay: Duration = .milliseconds(500)
        /// The session timeout to assume for a participant that does not publish its own, such as a JVM processor.
        ///
        /// Only ``DrainPolicy/evict(after:)`` uses it. Default: 60 s.
        public var assumedSessionTimeout: Duration = .seconds(60)

        /// Creates a configuration with default values.
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

    /// The base path: the znode that is the parent of all znodes of the mode.
    public let path: String
    /// The configuration that the mode was created with.
    public let configuration: Configuration

    let base: ZNodePath
    let client: ZooKeeperClient
    let logger: Logger

    /// Creates an exclusive mode without sending a request.
    ///
    /// - Parameters:
    ///   - client: The client whose session owns the znodes. If it is not running, every operation waits for it.
    ///   - path: The base path. It is created with its parents if it does not exist.
    ///   - configuration: The settings, which all participants should share. Default: the default values.
    /// - Throws: ``RecipeError`` with code `.invalidArgument` for the root; `ZooKeeperError` with code `.invalidPath`, or
    ///   `.invalidConfiguration`, whose message names the setting.
    public init(
        client: ZooKeeperClient, path: String, configuration: Configuration = Configuration()
    ) throws {
        base = try ZNodePath(path)
        guard base.string != "/" else {
            throw RecipeError(
                .invalidArgument, in: .exclusiveMode, path: path,
                message: "path is the root; name a znode of its own, such as /orders")
        }
        try configuration.validate(sessionTimeout: client.configuration.sessionTimeout)
        self.client = client
        self.path = path
        self.configuration = configuration
        logger = client.logger
    }

    /// Creates a gate for a processor of this process; run it as a service, or use ``withGate(id:_:)``.
    ///
    /// - Parameter id: The ID of the processor in ``status()``; `nil` uses the host name and process ID. Windows read it
    ///   from the names of znodes: its first 100 characters, with underscores for all but letters, digits, `-`, `.`, `_`
    ///   and `:`. Default: `nil`.
    /// - Returns: The gate, which is closed until it runs.
    public func gate(id: String? = nil) -> EventGate {
        EventGate(mode: self, id: id ?? ProcessIdentity.current.description)
    }

    /// Runs an operation with a gate, for programs that do not use a service group; the client must be running.
    ///
    /// The gate runs until the operation ends. It then closes, and deletes its znodes before this method returns. The
    /// operation starts immediately: ``EventGate/enter(timeout:)`` waits until the gate is open.
    ///
    /// - Parameters:
    ///   - id: The name of the processor, as in ``gate(id:)``. Default: `nil`.
    ///   - operation: Passes events through the gate. Events that are inside when it ends are cancelled, and awaited.
    /// - Returns: The result of `operation`.
    /// - Throws: The error of `operation`. If that is a ``RecipeError`` with code `.stopped` because the gate ended
    ///   first, the error of ``EventGate/run()``.
    /// - Complexity: As ``EventGate/run()``.
    public func withGate<Result>(
        id: String? = nil, _ operation: (EventGate) async throws -> Result
    ) async throws -> Result {
        try await withInnerService(gate(id: id), reportsEnd: RecipeError.reportsEnd(of: .exclusiveMode)) { gate in
            try await operation(gate)
        }
    }

    package var signalPath: String { ZNodePath.child("signal", of: path) }
    package var locksPath: String { ZNodePath.child("locks", of: path) }
    package var membersPath: String { ZNodePath.child("members", of: path) }
    package var windowsPath: String { ZNodePath.child("windows", of: path) }
    /// The signal of a window that was requested during a hold.
    ///
    /// It is ephemeral. While it exists, the servers refuse to delete the signal of the holds, its parent.
    package var heldWindowPath: String { ZNodePath.child("window", of: signalPath) }
}

extension ExclusiveMode {
    var numbersExhausted: RecipeError {
        RecipeError(
            .queueNumbersExhausted, in: .exclusiveMode, path: path,
            message: "\(locksPath): \(ContenderName.beyondTheLimitMessage)")
    }

    /// Creates the znodes that a gate or a window needs.
    ///
    /// The server may delete the containers above the records until the records exist, so the creation is retried, at
    /// most 10 times.
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
