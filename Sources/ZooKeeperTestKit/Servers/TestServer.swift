import Glibc

/// A real ZooKeeper server in a process of its own, on loopback.
///
/// ``withTestServer(configuration:_:)`` and the suite trait `.zooKeeperServer` start one; a ``TestEnsemble`` has several.
/// The process ends with this one, however this one ends, and its data are removed. A process that ends by itself fails
/// the `with...` function that started it.
///
/// The calls that change the process, such as ``stop()`` and ``restart()``, are for one task at a time.
public final class TestServer: Sendable, CustomStringConvertible {
    /// The number in the ensemble, from 1; 1 for a server alone.
    public let number: Int
    /// The address that the server listens on, an IPv4 literal.
    public let address: String
    /// The port for clients.
    public let port: Int
    /// How the server was set up.
    public let configuration: TestServerConfiguration

    private let runtime: JavaRuntime
    private let folder: OwnedFolder
    private let run = Observed<Run?>(nil)

    /// One life of the server's process.
    private struct Run: Sendable {
        var process: ChildProcess
        /// Whether it has served clients.
        var hasServed = false
        /// Whether it was told to end.
        var isEnding = false
    }

    /// The server that the suite's trait has started, if the current task belongs to such a suite.
    ///
    /// In a suite with a trait for ensembles it is the ensemble's first member.
    public static var current: TestServer {
        guard let server = Self.currentServer else {
            preconditionFailure("TestServer.current is for suites with the trait .zooKeeperServer")
        }
        return server
    }

    /// What ``current`` is taken from.
    @TaskLocal package static var currentServer: TestServer?

    /// Prepares a server; nothing runs yet.
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

    /// What a client is given to connect: address and port.
    public var connectionString: String { "\(self.address):\(self.port)" }
    /// The id of the server's process, or `nil` when it does not run.
    public var processID: Int32? { self.running?.id }
    /// Everything the server has logged since its first start.
    public var log: String { readFile(self.logFile) }
    /// The connection string.
    public var description: String { "server \(self.number) at \(self.connectionString)" }

    /// Where its data are.
    package var dataFolder: String { "\(self.folder.path)/data" }
    private var settingsFile: String { "\(self.folder.path)/zoo.cfg" }
    private var logFile: String { "\(self.folder.path)/log" }

    private var running: ChildProcess? {
        self.run.current.flatMap { $0.process.exitStatus == nil ? $0.process : nil }
    }
}

// MARK: The process

extension TestServer {
    /// Starts the server on the data it had, at the port it had, and waits until it serves.
    ///
    /// A member of an ensemble serves only together with a majority: start the others first, or use ``launch()``.
    ///
    /// - Throws: ``TestKitError`` with code `.startFailed` when it ends or takes longer than
    ///   ``TestServerConfiguration/readinessLimit``; `CancellationError`.
    public func start() async throws {
        try self.launch()
        try await self.waitUntilServing()
    }

    /// Starts the server's process and does not wait for it.
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` when it is running already, `.system` when no process can be made.
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
    /// Sessions live on in its data: they are there again after ``restart()``, with their timeouts started afresh.
    /// A server that does not end within five seconds is killed.
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
    /// Its data stay.
    public func kill() async {
        guard let process = self.ending() else { return }
        process.send(SIGKILL)
        _ = await process.end()
    }

    /// Stops the server if it is running, and starts it again on the same data and port.
    ///
    /// Returns when it serves.
    ///
    /// - Throws: As ``start()``.
    public func restart() async throws {
        await self.stop()
        try await self.start()
    }

    /// Freezes the server's process (SIGSTOP): its connections stay, but nothing is answered.
    ///
    /// It stands still when this returns.
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` when it does not run.
    public func pause() throws { try self.require { $0.freeze() } }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` when it does not run.
    public func resume() throws { try self.require { $0.send(SIGCONT) } }

    /// Ends the process and removes its data.
    ///
    /// The server cannot be started again.
    func remove() async {
        await self.kill()
        self.folder.remove()
    }

    /// The process that runs, which is about to be told to end.
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

// MARK: What the server says

extension TestServer {
    /// Whether the server serves, and in which role.
    ///
    /// It is asked with each call; a server that does not answer within two seconds, such as a frozen one, is `.down`.
    /// So is one that has lost its port to another process, whatever that one answers.
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

    /// Waits until the server serves clients: its own process, not another one at its port.
    ///
    /// - Throws: ``TestKitError`` with code `.startFailed` when its process ends, as it does if the port is in use, or it
    ///   takes longer than ``TestServerConfiguration/readinessLimit``; `CancellationError`.
    public func waitUntilServing() async throws {
        let limit = ContinuousClock.now + self.configuration.readinessLimit
        while true {
            switch await self.state() {
            case .standalone, .leader, .follower, .observer: return self.run.update { $0?.hasServed = true }
            case .notServing, .down: break
            }
            guard self.running != nil else { throw self.startFailure("ended before it served") }
            guard ContinuousClock.now < limit else {
                throw self.startFailure("does not serve after \(self.configuration.readinessLimit)")
            }
            // A server tells nobody that it is ready.
            try await Task.sleep(for: .milliseconds(15))
        }
    }

    /// The server's counters (`mntr`).
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer`.
    public func counters() async throws -> TestServerCounters {
        TestServerCounters(try await fourLetterWord("mntr", host: self.address, port: self.port))
    }

    /// The server's connections (`cons`), one line each, as the server words them.
    ///
    /// The connection that asks is among them.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer`.
    public func connections() async throws -> [String] {
        try await fourLetterWord("cons", host: self.address, port: self.port)
            .split(separator: "\n")
            .map { String($0.drop { $0 == " " }) }
    }

    /// The number of the last transaction that the server has applied.
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

    /// Whether the last start failed because somebody else had the port.
    var lostItsPort: Bool { self.log.contains("Address already in use") }
}

// MARK: A process that ends by itself

extension TestServer {
    /// How the process ended, if it served and nobody told it to end.
    fileprivate var failure: TestKitError? {
        guard let run = self.run.current, run.hasServed, !run.isEnding, let status = run.process.exitStatus else {
            return nil
        }
        return TestKitError(.ended, "\(self) ended by itself with \(status). \(self.endOfLog)")
    }

    /// Waits until the process has ended although nobody told it to.
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

/// Runs `body`, and cancels it when one of the servers that it uses ends by itself.
///
/// - Throws: ``TestKitError`` with code `.ended` when a server has ended by itself; else the error of `body`.
func whileServing<Result>(_ servers: [TestServer], _ body: () async throws -> Result) async throws -> Result {
    var result: Swift.Result<Result, any Error> = .failure(CancellationError())
    // The closure need not be Sendable: this task does nothing between the closure's start and its end. The compiler does
    // not see that, and has no way to tell it for a closure that may not escape.
    let run = unsafeBitCast(
        runUntilFailure as ([TestServer], @Sendable () async -> Void) async -> Void,
        to: (([TestServer], () async -> Void) async -> Void).self)
    await run(servers) {
        do { result = .success(try await body()) } catch { result = .failure(error) }
    }
    if let failure = servers.lazy.compactMap(\.failure).first { throw failure }
    return try result.get()
}

/// Runs an operation in a child task, and cancels that when one of the servers ends by itself.
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
    // What still runs is cancelled and awaited here.
}

/// What a server is doing.
public enum TestServerState: String, Sendable, Hashable {
    /// It serves alone.
    case standalone
    /// It leads its ensemble.
    case leader
    /// It follows the ensemble's leader.
    case follower
    /// It follows without a vote.
    case observer
    /// It answers, but serves no clients: it has no majority, or is still starting.
    case notServing
    /// It does not answer.
    case down
}
