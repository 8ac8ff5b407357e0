import Logging
import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A base path that a test has for itself, and everybody who takes part there; ended by ``with(_:)``.
final class ExclusiveScene: Sendable {
    let server: TestServer
    let path: String
    /// Whoever else changes znodes.
    let admin: ZooKeeperClient
    let journal = Journal()
    private let processors = Mutex<[Processor]>([])
    private let operators = Mutex<[Operator]>([])
    private static let count = Atomic(0)

    private init(server: TestServer, admin: ZooKeeperClient) {
        self.server = server
        self.admin = admin
        path = "/test-\(Self.count.add(1, ordering: .relaxed).newValue)/batch"
    }

    /// Runs a test in a scene of its own, ends everybody, and looks whether an event met a window.
    static func with(_ body: (ExclusiveScene) async throws -> Void) async throws {
        let server = TestServer.current
        try await withZooKeeperClient(
            configuration: .init(connectionString: server.connectionString, sessionTimeout: .seconds(20))
        ) { admin in
            let scene = ExclusiveScene(server: server, admin: admin)
            do {
                try await body(scene)
            } catch {
                await scene.end()
                throw error
            }
            await scene.end()
            scene.journal.check()
        }
    }

    private func end() async {
        for processor in processors.withLock({ $0 }) { await processor.end() }
        for one in operators.withLock({ $0 }) { await one.end() }
    }

    /// Starts a processor behind a proxy of its own; it need not have come in.
    func startProcessor(
        _ name: String = "one", timeout: Duration = .seconds(4), refused: Bool = false,
        configuration: ExclusiveMode.Configuration = .init()
    ) async throws -> Processor {
        let proxy = try FaultProxy(to: server)
        if refused { await proxy.refuse() }
        let client = try makeTestClient(proxy.connectionString, sessionTimeout: timeout)
        let mode = try ExclusiveMode(client: client, path: path, configuration: configuration)
        let processor = Processor(mode.gate(id: name), client: client, proxy: proxy, journal: journal)
        processors.withLock { $0.append(processor) }
        return processor
    }

    /// Starts a processor and waits until its gate is open.
    func processor(
        _ name: String = "one", timeout: Duration = .seconds(4),
        configuration: ExclusiveMode.Configuration = .init()
    ) async throws -> Processor {
        let processor = try await startProcessor(name, timeout: timeout, configuration: configuration)
        await processor.awaitOpen()
        return processor
    }

    /// Starts somebody who opens windows, behind a proxy of its own.
    func windowOperator(timeout: Duration = .seconds(4), at server: TestServer? = nil) async throws -> Operator {
        let proxy = try FaultProxy(to: server ?? self.server)
        let client = try makeTestClient(proxy.connectionString, sessionTimeout: timeout)
        let one = Operator(
            try ExclusiveMode(client: client, path: path), client: client, proxy: proxy, journal: journal)
        operators.withLock { $0.append(one) }
        _ = try await client.exists(at: "/")
        return one
    }

    // MARK: What stands

    var signal: String { "\(path)/signal" }

    /// The contenders that stand now.
    func locks() async throws -> [ContenderName] {
        do {
            return try await admin.children(of: "\(path)/locks").names.compactMap(ContenderName.init)
        } catch let error as ZooKeeperError where error.code == .noNode {
            return []
        }
    }

    /// Waits until the contenders satisfy a condition.
    @discardableResult
    func locks(where matches: ([ContenderName]) -> Bool) async throws -> [ContenderName] {
        while true {
            let (names, _, watch) = try await admin.watchChildren(of: "\(path)/locks")
            let contenders = names.compactMap(ContenderName.init)
            if matches(contenders) {
                watch.cancel()
                return contenders
            }
            _ = try await watch.event()
        }
    }

    /// Waits until the signal stands, or does not.
    func awaitSignal(stands: Bool) async throws {
        while true {
            let (stat, watch) = try await admin.watchExistence(at: signal)
            if (stat != nil) == stands { return watch.cancel() }
            _ = try await watch.event()
        }
    }

    /// Waits until a znode has gone, and says when that was known.
    func awaitDeletion(of path: String) async throws -> ContinuousClock.Instant {
        while true {
            let (stat, watch) = try await admin.watchExistence(at: path)
            guard stat != nil else {
                watch.cancel()
                return .now
            }
            _ = try await watch.event()
        }
    }

    func createStructure() async throws {
        try await admin.create("\(path)/windows", parents: true)
        try await admin.create("\(path)/locks", mode: .container)
        try await admin.create("\(path)/members", mode: .container)
    }
}

/// What events and windows have noted of themselves, by one clock.
final class Journal: Sendable {
    struct Interval: Sendable {
        var name: String
        var begin: ContinuousClock.Instant
        var end: ContinuousClock.Instant
        var token: FencingToken
    }

    private let events = Mutex<[Interval]>([])
    private let bodies = Mutex<[Interval]>([])

    var allEvents: [Interval] { events.withLock { $0 } }
    var allBodies: [Interval] { bodies.withLock { $0 } }

    func noteEvent(_ interval: Interval) { events.withLock { $0.append(interval) } }
    func noteBody(_ interval: Interval) { bodies.withLock { $0.append(interval) } }

    /// No event was inside while a window's body ran, and tokens tell their order.
    func check(sourceLocation: SourceLocation = #_sourceLocation) {
        let events = allEvents
        for body in allBodies {
            for event in events {
                if event.begin < body.end, event.end > body.begin {
                    Issue.record(
                        "an event of \(event.name) was inside a window: \(event) \(body)",
                        sourceLocation: sourceLocation)
                    return
                }
                if event.end <= body.begin, event.token >= body.token {
                    Issue.record(
                        "a token before a window is not lower: \(event) \(body)", sourceLocation: sourceLocation)
                    return
                }
                if event.begin >= body.end, event.token <= body.token {
                    Issue.record(
                        "a token after a window is not higher: \(event) \(body)", sourceLocation: sourceLocation)
                    return
                }
            }
        }
    }
}

/// A processor whose events take a millisecond each, one after the other.
final class Processor: Sendable {
    let gate: EventGate
    let client: ZooKeeperClient
    let proxy: FaultProxy
    private let states = Broadcast<[GateState]>([])
    private let journal: Journal
    private let clientTask: Task<Void, any Error>
    let gateTask: Task<Void, any Error>
    private let others = Mutex<[Task<Void, Never>]>([])

    init(_ gate: EventGate, client: ZooKeeperClient, proxy: FaultProxy, journal: Journal) {
        self.gate = gate
        self.client = client
        self.proxy = proxy
        self.journal = journal
        clientTask = Task { try await client.run() }
        gateTask = Task { try await gate.run() }
        let work = Task { await Self.work(gate, journal) }
        others.withLock { $0.append(work) }
        let follow = Task { [states] in
            for await state in gate.states { states.send(states.current + [state]) }
        }
        others.withLock { $0.append(follow) }
    }

    private static func work(_ gate: EventGate, _ journal: Journal) async {
        while !Task.isCancelled, let permit = try? await gate.enter() {
            let begin = ContinuousClock.now
            // The event's work.
            try? await ContinuousClock().sleep(for: .milliseconds(1))
            journal.noteEvent(.init(name: gate.id, begin: begin, end: .now, token: permit.fencingToken))
            permit.leave()
        }
    }

    /// All states so far.
    var history: [GateState] { states.current }

    /// Waits until all states so far satisfy a condition.
    func awaitHistory(_ isWanted: ([GateState]) -> Bool) async {
        for await history in states.follow() where isWanted(history) { return }
    }

    func end() async {
        for task in others.withLock({ $0 }) { task.cancel() }
        gateTask.cancel()
        _ = await gateTask.result
        clientTask.cancel()
        _ = await clientTask.result
        for task in others.withLock({ $0 }) { await task.value }
        await proxy.close()
    }

    /// Waits for a state, from the current one on.
    @discardableResult
    func awaitState(_ isWanted: (GateState) -> Bool) async -> GateState? {
        for await state in gate.states where isWanted(state) { return state }
        return nil
    }

    /// Waits until the gate is open with a token higher than another.
    @discardableResult
    func awaitOpen(after token: FencingToken = FencingToken(rawValue: 0)) async -> FencingToken {
        for await state in gate.states {
            if case .open(let own) = state, own > token { return own }
        }
        return token
    }

    /// The znodes in the lock's directory that are this processor's.
    func nodes(in scene: ExclusiveScene) async throws -> [String] {
        var nodes: [String] = []
        for name in try await scene.locks() where name.kind == .read {
            let path = "\(scene.path)/locks/\(name)"
            guard let data = try? await scene.admin.data(at: path).data else { continue }
            if String(decoding: data, as: UTF8.self).contains("name=\(gate.id)\n") { nodes.append(path) }
        }
        return nodes
    }
}

/// Somebody who opens windows.
final class Operator: Sendable {
    let mode: ExclusiveMode
    let client: ZooKeeperClient
    let proxy: FaultProxy
    private let journal: Journal
    private let clientTask: Task<Void, any Error>

    init(_ mode: ExclusiveMode, client: ZooKeeperClient, proxy: FaultProxy, journal: Journal) {
        self.mode = mode
        self.client = client
        self.proxy = proxy
        self.journal = journal
        clientTask = Task { try await client.run() }
    }

    func end() async {
        clientTask.cancel()
        _ = await clientTask.result
        await proxy.close()
    }

    /// Opens a window and notes when its body ran: to its end, or to its cancellation if that came first.
    func window<Result: Sendable>(
        _ reason: String = "test", drain: DrainPolicy = .wait, waits: Bool = true,
        body: @escaping @Sendable (ExclusiveWindow) async throws -> Result
    ) async throws -> Result {
        let operation: @Sendable (ExclusiveWindow) async throws -> Result = { [journal] window in
            let begin = ContinuousClock.now
            let cancelled = Mutex<ContinuousClock.Instant?>(nil)
            defer {
                journal.noteBody(
                    .init(
                        name: reason, begin: begin, end: cancelled.withLock { $0 } ?? .now, token: window.fencingToken))
            }
            return try await withTaskCancellationHandler {
                try await body(window)
            } onCancel: {
                cancelled.withLock { $0 = .now }
            }
        }
        return waits
            ? try await mode.withWindow(reason: reason, drain: drain, operation)
            : try await mode.tryWithWindow(reason: reason, drain: drain, operation)
    }
}

/// Something that a test lets happen once.
final class Moment: Sendable {
    private let stream = AsyncStream.makeStream(of: Void.self)

    func happen() { stream.continuation.finish() }

    /// Waits for it, or for the task's cancellation.
    func wait() async { for await _ in stream.stream {} }
}
