import Glibc
import Synchronization

/// A real ZooKeeper server in a process of its own, on loopback.
///
/// ``withTestServer(configuration:_:)`` and the suite trait `.zooKeeperServer` start one; a ``TestEnsemble`` has several.
/// The process ends with this one, however this one ends, and its data are removed.
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
    private let folder: String
    private let process = Mutex<ChildProcess?>(nil)

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
        self.folder = try makeTemporaryFolder()
        let lines = configuration.lines(dataFolder: self.dataFolder, address: address, port: port, peers: peers)
        guard mkdir(self.dataFolder, 0o755) == 0 else { throw TestKitError.system("mkdir") }
        try writeFile(self.settingsFile, lines)
        try writeFile("\(self.dataFolder)/myid", "\(number)\n")
    }

    deinit {
        self.process.withLock { _ = $0?.send(SIGKILL) }
        removeFolder(self.folder)
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
    package var dataFolder: String { "\(self.folder)/data" }
    private var settingsFile: String { "\(self.folder)/zoo.cfg" }
    private var logFile: String { "\(self.folder)/log" }

    private var running: ChildProcess? {
        self.process.withLock { $0 }.flatMap { $0.exitStatus == nil ? $0 : nil }
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
        try self.process.withLock { process in
            if let process, process.exitStatus == nil {
                throw TestKitError(.misuse, "\(self) is running already")
            }
            let log = open(self.logFile, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
            guard log >= 0 else { throw TestKitError.system("open \(self.logFile)") }
            defer { close(log) }
            process = try ChildProcess.spawn(
                ChildProcess.Launch(
                    executable: self.runtime.java,
                    arguments: self.configuration.arguments(runtime: self.runtime, settingsFile: self.settingsFile),
                    folder: self.folder,
                    standardOutput: log,
                    standardError: log))
        }
    }

    /// Stops the server as an administrator would, and waits until its process has ended.
    ///
    /// Sessions live on in its data: they are there again after ``restart()``, with their timeouts started afresh.
    /// A server that does not end within five seconds is killed.
    public func stop() async {
        guard let process = self.running else { return }
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
        guard let process = self.running else { return }
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
    /// - Throws: ``TestKitError`` with code `.misuse` when it does not run.
    public func pause() throws { try self.send(SIGSTOP) }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// - Throws: ``TestKitError`` with code `.misuse` when it does not run.
    public func resume() throws { try self.send(SIGCONT) }

    /// Ends the process and removes its data.
    ///
    /// The server cannot be started again.
    func remove() async {
        await self.kill()
        removeFolder(self.folder)
    }

    private func send(_ signal: Int32) throws {
        guard let process = self.running, process.send(signal) else {
            throw TestKitError(.misuse, "\(self) is not running")
        }
    }
}

// MARK: What the server says

extension TestServer {
    /// Whether the server serves, and in which role.
    ///
    /// It is asked with each call; a server that does not answer within two seconds, such as a frozen one, is `.down`.
    public func state() async -> TestServerState {
        guard let answer = try? await fourLetterWord("srvr", host: self.address, port: self.port) else { return .down }
        for line in answer.split(separator: "\n") where line.hasPrefix("Mode: ") {
            return TestServerState(rawValue: String(line.dropFirst(6))) ?? .notServing
        }
        return .notServing
    }

    /// Waits until the server serves clients.
    ///
    /// - Throws: ``TestKitError`` with code `.startFailed` when its process ends or it takes longer than
    ///   ``TestServerConfiguration/readinessLimit``; `CancellationError`.
    public func waitUntilServing() async throws {
        let limit = ContinuousClock.now + self.configuration.readinessLimit
        while true {
            switch await self.state() {
            case .standalone, .leader, .follower, .observer: return
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
        let tail = self.log.split(separator: "\n").suffix(12).joined(separator: "\n")
        return TestKitError(.startFailed, "\(self) \(what). Its log ends with:\n\(tail)")
    }

    /// Whether the last start failed because somebody else had the port.
    var lostItsPort: Bool { self.log.contains("Address already in use") }
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
