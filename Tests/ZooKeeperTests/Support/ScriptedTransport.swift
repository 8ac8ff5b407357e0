import Logging
import Metrics
import Synchronization
import ZooKeeperTransport

@testable import ZooKeeper

/// A transport that does and says what a test wants.
final class ScriptedTransport: Transport {
    private let connections = Mutex<[ScriptedConnection]>([])
    private let count = Broadcast(0)

    func makeConnection(
        to endpoint: TransportEndpoint, receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection {
        let connection = ScriptedConnection(endpoint: endpoint, receive: receive)
        let number = connections.withLock { connections in
            connections.append(connection)
            return connections.count
        }
        count.send(number)
        return connection
    }

    /// Whether no connection was ever made.
    var isUnused: Bool { count.current == 0 }

    /// The connection of this number, from 1, once it was opened.
    func connection(_ number: Int) async throws -> ScriptedConnection {
        for await count in count.follow() where count >= number {
            let connection = connections.withLock { $0[number - 1] }
            try await connection.opened.wait()
            return connection
        }
        throw CancellationError()
    }
}

/// One connection; its requests wait until the test answers them.
final class ScriptedConnection: TransportConnection {
    struct Submission: Sendable {
        var request: TransportRequest
        fileprivate let reply = OneShot<TransportReply>()

        /// Only the first answer counts: a connection that ends has answered everything.
        func answer(_ code: ReplyCode, _ body: TransportBody = .none) {
            reply.set(TransportReply(code: code, body: body))
        }
    }

    private struct State {
        /// What the test has neither taken nor answered.
        var waiting: [Submission] = []
        /// What the test has taken, and perhaps answered.
        var taken: [Submission] = []
        var beforeClose: (@Sendable () -> Void)?
        var whileSubmitting: (@Sendable () -> Void)?
        var refusal: ReplyCode?
        var refusals = 0
        var closeCode = ReplyCode.closing
    }

    let endpoint: TransportEndpoint
    let opened = OneShot<Void>()
    let closed = OneShot<TransportClose>()
    private let receive: @Sendable (TransportEvent) -> Void
    private let state = Mutex(State())
    private let submitted = Broadcast(0)

    init(endpoint: TransportEndpoint, receive: @escaping @Sendable (TransportEvent) -> Void) {
        self.endpoint = endpoint
        self.receive = receive
    }

    func open() { opened.set(()) }

    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void) {
        let (refusal, work) = state.withLock { state -> (ReplyCode?, (@Sendable () -> Void)?) in
            // Whoever asks a thousand times in a row would ask for ever.
            if let refusal = state.refusal, state.refusals < 1000 {
                state.refusals += 1
                return (refusal, nil)
            }
            let submission = Submission(request: request)
            submission.reply.observe(completion)
            state.waiting.append(submission)
            return (nil, state.whileSubmitting)
        }
        if let refusal {
            completion(TransportReply(code: refusal))
        } else {
            submitted.send(submitted.current + 1)
        }
        work?()
    }

    func close(_ end: TransportClose) async -> Bool {
        let (code, work) = state.withLock { ($0.closeCode, $0.beforeClose) }
        work?()
        for submission in takeAll() { submission.answer(code, code == .ok ? .data([], .test()) : .none) }
        closed.set(end)
        return end == .keepSession
    }

    // MARK: What the test does

    func say(_ event: TransportEvent) { receive(event) }

    func connect(session: Int64 = 1, timeout: Int32 = 10_000) {
        say(.connected(TransportSession(id: session, password: Array(repeating: 1, count: 16), timeout: timeout)))
    }

    /// The connection is lost: as the C client does it, first the event, then the requests' ends.
    func lose() {
        say(.disconnected)
        for submission in takeAll() { submission.answer(-4) }
    }

    /// From now on requests are refused on the submitting thread with this code.
    func refuse(_ code: ReplyCode?) { state.withLock { $0.refusal = code } }

    var refusals: Int { state.withLock { $0.refusals } }

    /// What requests get that are unanswered when the connection is closed.
    func answerAtClose(_ code: ReplyCode) { state.withLock { $0.closeCode = code } }

    /// What happens with each request before the submitting thread goes on.
    func whileSubmitting(_ work: @escaping @Sendable () -> Void) { state.withLock { $0.whileSubmitting = work } }

    /// What happens as soon as the client closes the connection.
    func beforeClose(_ work: @escaping @Sendable () -> Void) { state.withLock { $0.beforeClose = work } }

    /// The oldest request that satisfies a condition, as soon as there is one.
    func next(where matches: (TransportRequest) -> Bool = { _ in true }) async -> Submission {
        for await _ in submitted.follow() {
            if let taken = taken(where: matches) { return taken }
        }
        preconditionFailure("a sequence that never ends has ended")
    }

    /// The proof of a heartbeat, as soon as there is one; the `sync` before it is answered.
    func nextProof() async -> Submission {
        await next(where: \.isSync).answer(0)
        return await next(where: \.isMulti)
    }

    /// Answers a heartbeat that proves one own znode.
    func answerBeat() async {
        await nextProof().answer(0, .multi([TransportOperationResult(code: 0)]))
    }

    /// The oldest such request, if there is one already.
    func taken(where matches: (TransportRequest) -> Bool) -> Submission? {
        state.withLock { state in
            guard let index = state.waiting.firstIndex(where: { matches($0.request) }) else { return nil }
            state.taken.removeAll { $0.reply.value != nil }
            state.taken.append(state.waiting.remove(at: index))
            return state.taken.last
        }
    }

    /// The requests that nobody has answered or taken.
    var waiting: [TransportRequest] { state.withLock { $0.waiting.map(\.request) } }

    private func takeAll() -> [Submission] {
        state.withLock { state in
            defer { (state.waiting, state.taken) = ([], []) }
            return state.taken + state.waiting
        }
    }
}

struct LiteralResolver: NameResolver {
    func resolve(_ host: String) async throws -> [String] { [host] }
}

/// A running client over a transport and a clock that the test moves.
struct ScriptedClient: Sendable {
    let transport = ScriptedTransport()
    let clock = ManualClock()
    let client: ZooKeeperClient

    init(
        resolver: any NameResolver = LiteralResolver(), metricsFactory: (any MetricsFactory)? = nil,
        log: RecordedLog? = nil, _ change: (inout ZooKeeperClientConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "127.0.0.1", port: 2181)])
        change(&configuration)
        let handler: any LogHandler = log ?? SwiftLogNoOpLogHandler()
        var logger = Logger(label: "test") { _ in handler }
        logger.logLevel = log == nil ? .critical : .trace
        client = try ZooKeeperClient(
            configuration: configuration, transport: transport, resolver: resolver, clock: clock,
            randomness: Randomness(seed: 1), logger: logger, metricsFactory: metricsFactory)
    }

    static func run(
        _ change: (inout ZooKeeperClientConfiguration) -> Void = { _ in },
        _ body: (ScriptedClient) async throws -> Void
    ) async throws {
        let scripted = try ScriptedClient(change)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await scripted.client.run() }
            // What a test holds need not be released.
            defer { scripted.client.stopImmediately() }
            try await body(scripted)
        }
    }

    /// Returns when this many requests wait for a connection or their turn.
    func waitForOutbox(_ count: Int) async {
        while client.core.state.withLock({ $0.requests.waiting.count }) != count { await Task.yield() }
    }

    /// A connection that stands, whose first heartbeat has been answered.
    func connected() async throws -> ScriptedConnection {
        let connection = try await transport.connection(1)
        connection.connect()
        await connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
        return connection
    }

    /// Something held, watched and proved at the present instant.
    func held(_ path: String, on connection: ScriptedConnection) async throws -> HeldNode {
        let hold = try await client.connectedSession().hold(path, czxid: ZXID(rawValue: 5))
        await connection.next { $0.isRead(of: path) }.answer(0, .data([], .test()))
        await connection.answerBeat()
        return hold
    }
}

extension TransportStat {
    static func test(czxid: Int64 = 5, mzxid: Int64 = 5) -> TransportStat {
        TransportStat(
            czxid: czxid, mzxid: mzxid, pzxid: czxid, ctime: 0, mtime: 0, version: 0, cversion: 0, aversion: 0,
            ephemeralOwner: 0, dataLength: 0, numChildren: 0)
    }
}

extension TransportRequest {
    var isHeartbeat: Bool { if case .exists("/", false) = self { true } else { false } }
    var isSync: Bool { if case .sync = self { true } else { false } }
    var isMulti: Bool { if case .multi = self { true } else { false } }
    var isRemoval: Bool { if case .removeWatches = self { true } else { false } }
    var isSetData: Bool { if case .setData = self { true } else { false } }
    func isRead(of path: String) -> Bool { if case .getData(path, _) = self { true } else { false } }
}
