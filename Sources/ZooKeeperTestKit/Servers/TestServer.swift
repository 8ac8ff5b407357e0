import Glibc

/// A real ZooKeeper server on loopback, in its own process.
///
/// ``withTestServer(configuration:_:)`` and the suite trait `.zooKeeperServer` start a server, and a ``TestEnsemble``
/// has several. The server's process ends with this process, however this process ends, and its data is removed. If the
/// server's process ends by itself, the `with...` function that started it fails.
///
/// Do not call the methods that change the process, such as ``stop()`` and ``restart()``, from several tasks at the
/// same time.
public final class TestServer: Sendable, CustomStringConvertible {
    /// The number of the server in its ensemble, from 1; a standalone server has the number 1.
    public let number: Int
    /// The address on which the server listens, an IPv4 literal.
    public let address: String
    /// The port for clients.
    public let port: Int
    /// The configuration of the server.
    public let configuration: TestServerConfiguration

    private let runtime: JavaRuntime
    private let folder: OwnedFolder
    private let run = Observed<Run?>(nil)

    /// One run of the server's process.
    private struct Run: Sendable {
        var process: ChildProcess
        /// Whether the process has served clients.
        var hasServed = false
        /// Whether the process was asked to end.
        var isEnding = false
    }

    /// The server that the trait of the suite has started.
    ///
    /// In a suite with a trait for ensembles, it is the first member of the ensemble. Accessing this property in a task
    /// that does not belong to such a suite is a programming error.
    public static var current: TestServer {
        guard let server = Self.currentServer else {
            preconditionFailure("TestServer.current is for suites with the trait .zooKeeperServer")
        }
        return server
    }

    /// The task-local value of ``current``.
    @TaskLocal package static var currentServer: TestServer?

    /// Prepares a server without starting it.
    init(
        number: Int = 1,
        address: String = "127.0.0.1",
        port: Int,
        peers: [String] = [],
        configuration: TestServerConfiguration
    ) throws {
        self.number = number
        self.address = address
        self.port = port
        self.configuration = configuration
        self.runtime = try JavaRuntime.find()
        let inMemory = access("/dev/shm", W_OK | X_OK) == 0
        self.folder = try OwnedFolder(
            named: "zookeeper-test-", in: inMemory ? "/dev/shm" : environmentVariable("TMPDIR") ?? "/tmp")
        let lines = configuration.lines(dataFolder: self.dataFolder, address: address, port: port, peers: peers)
        guard mkdir(self.dataFolder, 0o755) == 0 else { throw TestKitError.system("mkdir") }
        try writeFile(self.settingsFile, lines)
        try writeFile("\(self.dataFolder)/myid", "\(number)\n")
    }

    deinit {
        self.run.current?.process.send(SIGKILL)
        self.folder.remove()
    }

    /// The connection string for a client: address and port.
    public var connectionString: String { "\(self.address):\(self.port)" }
    /// The ID of the server's process, or `nil` if the server is not running.
    public var processID: Int32? { self.running?.id }
    /// The log of the server since its first start.
    public var log: String { readFile(self.logFile) }
    /// A description with the connection string.
    public var description: String { "server \(self.number) at \(self.connectionString)" }

    /// The folder of the server's data.
    package var dataFolder: String { "\(self.folder.path)/data" }
    private var settingsFile: String { "\(self.folder.path)/zoo.cfg" }
    private var logFile: String { "\(self.folder.path)/log" }

    private var running: ChildProcess? {
        self.run.current.flatMap { $0.process.exitStatus == nil ? $0.process : nil }
    }
}

// MARK: The process

extension TestServer {
    /// Starts the server on its existing data and port, and waits until it serves clients.
    ///
    /// A member of an ensemble serves clients only together with a majority. Start the other members first, or use
    /// ``launch()``.
    ///
    /// - Throws: ``TestKitError`` with code `.startFailed` if the process ends or takes longer than
    ///   ``TestServerConfiguration/startTimeout``, or with the codes of ``launch()``; `CancellationError`.
    /// - Complexity: As ``waitUntilServing()``.
    public func start() async throws {
        try self.launch()
        try await self.waitUntilServing()
    }

    /// Starts the server's process without waiting until it serves clients.
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` if the server is already running, or `.system` if the process
    ///   cannot be created.
    public func launch() throws {
        guard self.running == nil else { throw TestKitError(.misuse, "\(self) is running already") }
        let log = open(self.logFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard log >= 0 else { throw TestKitError.system("open \(self.logFile)") }
        defer { close(log) }
        let process = try ChildProcess.spawn(
            ChildProcess.Launch(
                executable: self.runtime.java,
                arguments: self.configuration.arguments(runtime: self.runtime, settingsFile: self.settingsFile),
                folder: self.folder.path,
                standardOutput: log,
                standardError: log))
        self.run.update { $0 = Run(process: process) }
    }

    /// Stops the server as an administrator would, and waits until its process has ended.
    ///
    /// Sessions remain in its data. They exist again after ``restart()``, and their timeouts start again. If the server
    /// does not end within 5 s, it is killed.
    public func stop() async {
        guard let process = self.ending() else { return }
        process.send(SIGCONT)
        process.send(SIGTERM)
        let reminder = Task {
            try await Task.sleep(for: .seconds(5))
            process.send(SIGKILL)
        }
        _ = await process.end()
        reminder.cancel()
    }

    /// Kills the server's process (SIGKILL) and waits until it has ended.
    ///
    /// The data of the server remains.
    public func kill() async {
        guard let process = self.ending() else { return }
        process.send(SIGKILL)
        _ = await process.end()
    }

    /// Stops the server if it is running, and starts it again on the same data and port.
    ///
    /// This method returns when the server serves clients.
    ///
    /// - Throws: As ``start()``.
    /// - Complexity: As ``waitUntilServing()``.
    public func restart() async throws {
        await self.stop()
        try await self.start()
    }

    /// Freezes the server's process (SIGSTOP): its connections stay open, but it does not answer.
    ///
    /// The process no longer runs when this method returns.
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` if the server is not running.
    public func pause() throws { try self.require { $0.freeze() } }

    /// Resumes a frozen server (SIGCONT).
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` if the server is not running.
    public func resume() throws { try self.require { $0.send(SIGCONT) } }

    /// Ends the process and removes its data.
    ///
    /// The server cannot be started again.
    func remove() async {
        await self.kill()
        self.folder.remove()
    }

    /// Returns the running process, and records that it is about to be asked to end.
    private func ending() -> ChildProcess? {
        self.run.update { $0?.isEnding = true }
        return self.running
    }

    private func require(_ action: (ChildProcess) -> Bool) throws {
        guard let process = self.running, action(process) else {
            throw TestKitError(.misuse, "\(self) is not running")
        }
    }
}

// MARK: Server status

extension TestServer {
    /// Returns whether the server serves clients, and in which role.
    ///
    /// Each call asks the server. If the server does not answer within 2 s, for example because it is frozen, the state
    /// is `.down`. The state is also `.down` if another process has taken the server's port, whatever that process
    /// answers.
    /// - Complexity: 1 four-letter-word command.
    public func state() async -> TestServerState {
        guard let process = self.running,
            let answer = try? await fourLetterWord("srvr", host: self.address, port: self.port),
            Ports.isHeld(self.port, by: process.id)
        else { return .down }
        for line in answer.split(separator: "\n") where line.hasPrefix("Mode: ") {
            return TestServerState(rawValue: String(line.dropFirst(6))) ?? .notServing
        }
        return .notServing
    }

    /// Waits until the server's own process serves clients, and not another process on its port.
    ///
    /// - Throws: ``TestKitError`` with code `.startFailed` if the process ends, for example because the port is in use,
    ///   or if it takes longer than ``TestServerConfiguration/startTimeout``; `CancellationError`.
    /// - Complexity: 1 four-letter-word command every 15 ms.
    public func waitUntilServing() async throws {
        let limit = ContinuousClock.now + self.configuration.startTimeout
        while true {
            switch await self.state() {
            case .standalone, .leader, .follower, .observer: return self.run.update { $0?.hasServed = true }
            case .notServing, .down: break
            }
            guard self.running != nil else { throw self.startFailure("ended before it served") }
            guard ContinuousClock.now < limit else {
                throw self.startFailure("does not serve after \(self.configuration.startTimeout)")
            }
            // A server does not notify about its readiness.
            try await Task.sleep(for: .milliseconds(15))
        }
    }

    /// Returns the counters of the server (`mntr`).
    ///
    /// - Throws: ``TestKitError`` with code `.noResponse`.
    /// - Complexity: 1 four-letter-word command.
    public func counters() async throws -> TestServerCounters {
        TestServerCounters(try await fourLetterWord("mntr", host: self.address, port: self.port))
    }

    /// Returns the connections of the server (`cons`), one line each, in the format of the server.
    ///
    /// The connection that sends the command is included.
    ///
    /// - Throws: ``TestKitError`` with code `.noResponse`.
    /// - Complexity: 1 four-letter-word command.
    public func connections() async throws -> [String] {
        try await fourLetterWord("cons", host: self.address, port: self.port)
            .split(separator: "\n")
            .map { String($0.drop { $0 == " " }) }
    }

    /// Returns the ID of the last transaction that the server has applied.
    func lastTransaction() async throws -> Int64 {
        let answer = try await fourLetterWord("srvr", host: self.address, port: self.port)
        for line in answer.split(separator: "\n") where line.hasPrefix("Zxid: 0x") {
            return Int64(line.dropFirst(8), radix: 16) ?? -1
        }
        return -1
    }

    private func startFailure(_ what: String) -> TestKitError {
        if self.running == nil, let refusal = Ports.refusal(of: self.port, on: self.address) {
            return TestKitError(
                .startFailed,
                "\(self) cannot listen at port \(self.port): \(refusal). End the process that has the port, or choose "
                    + "another port; without one, a free port is taken.")
        }
        return TestKitError(.startFailed, "\(self) \(what). \(self.endOfLog)")
    }

    private var endOfLog: String {
        "Its log ends with:\n" + self.log.split(separator: "\n").suffix(12).joined(separator: "\n")
    }

    /// Whether the last start failed because another process used the port.
    var lostItsPort: Bool { self.log.contains("Address already in use") }
}

// MARK: A process that ends by itself

extension TestServer {
    /// The error if the process served clients and ended without being asked to, or `nil`.
    fileprivate var failure: TestKitError? {
        guard let run = self.run.current, run.hasServed, !run.isEnding, let status = run.process.exitStatus else {
            return nil
        }
        return TestKitError(.exited, "\(self) ended by itself with \(status). \(self.endOfLog)")
    }

    /// Waits until the process has ended without being asked to.
    ///
    /// - Throws: `CancellationError`.
    fileprivate func untilFailure() async throws -> TestKitError {
        var last: ChildProcess?
        while true {
            let known = last
            let process = try await self.run.first { run in
                run.flatMap { $0.hasServed && $0.process !== known ? $0.process : nil }
            }
            _ = try await process.waitForEnd()
            if let failure = self.failure { return failure }
            last = process
        }
    }
}

/// Runs `body`, and cancels it if one of the servers that it uses ends by itself.
///
/// - Throws: ``TestKitError`` with code `.exited` if a server has ended by itself; otherwise the error of `body`.
func whileServing<Result>(_ servers: [TestServer], _ body: () async throws -> Result) async throws -> Result {
    var result: Swift.Result<Result, any Error> = .failure(CancellationError())
    // The closure does not have to be Sendable, because this task does nothing between the closure's start and its end.
    // The compiler cannot verify this, and there is no way to declare it for a non-escaping closure.
    let run = unsafeBitCast(
        runUntilFailure as ([TestServer], @Sendable () async -> Void) async -> Void,
        to: (([TestServer], () async -> Void) async -> Void).self)
    await run(servers) {
        do { result = .success(try await body()) } catch { result = .failure(error) }
    }
    if let failure = servers.lazy.compactMap(\.failure).first { throw failure }
    return try result.get()
}

/// Runs an operation in a child task, and cancels that task if one of the servers ends by itself.
private func runUntilFailure(of servers: [TestServer], _ operation: @Sendable () async -> Void) async {
    let hasEnded = Observed(false)
    async let _: Void = {
        await operation()
        hasEnded.update { $0 = true }
    }()
    await withTaskGroup(of: Void.self) { group in
        group.addTask { _ = try? await hasEnded.first { $0 ? true : nil } }
        for server in servers { group.addTask { _ = try? await server.untilFailure() } }
        await group.next()
        group.cancelAll()
    }
    // Running child tasks are cancelled and awaited here.
}

/// The state of a server.
public enum TestServerState: String, Sendable, Hashable {
    /// The server serves clients without an ensemble.
    case standalone
    /// The server leads its ensemble.
    case leader
    /// The server follows the leader of its ensemble.
    case follower
    /// The server follows the leader without a vote.
    case observer
    /// The server answers but does not serve clients: it has no majority, or is still starting.
    case notServing
    /// The server does not answer.
    case down
}
