import Dispatch
import Glibc
import Logging
import Synchronization
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// A client whose connections speak on threads of their own, while others ask, move and lose them.
///
/// Under ThreadSanitizer too: `make sanitize`.
@Suite(.timeLimit(.minutes(5)))
struct TransportThreadsTests {
    private let transport = ThreadedTransport()

    private func withClient(_ body: (ZooKeeperClient) async throws -> Void) async throws {
        let configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "127.0.0.1", port: 2181)])
        let client = try ZooKeeperClient(
            configuration: configuration, transport: transport, resolver: LiteralResolver(),
            clock: SystemMonotonicClock(), randomness: Randomness(seed: 1),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            metricsFactory: nil)
        try await client.running(body)
    }

    /// Loses connections and moves the client, each time after a few answers, until cancelled.
    private func disturb(_ client: ZooKeeperClient) async throws {
        var round = 0
        while !Task.isCancelled {
            round += 1
            if round.isMultiple(of: 3) {
                try client.updateServers([ServerAddress(host: "127.0.0.1", port: 2181 + round % 7)])
            } else {
                transport.lose()
            }
            let goal = transport.answers.current + Int.random(in: 1...30)
            for await count in transport.answers.follow() where count >= goal { break }
        }
    }

    @Test func `what is answered in one round trip was answered on one connection`() async throws {
        try await withClient { client in
            try await withThrowingTaskGroup(of: (whole: Int, torn: Int).self) { group in
                group.addTask {
                    try await disturb(client)
                    return (0, 0)
                }
                let workers = 4
                for _ in 0..<workers { group.addTask { try await readPairs(500, client) } }
                var (whole, torn) = (0, 0)
                for _ in 0..<workers {
                    guard let part = try await group.next() else { break }
                    (whole, torn) = (whole + part.whole, torn + part.torn)
                }
                group.cancelAll()
                #expect(torn == 0)
                #expect(whole > 100)
            }
        }
        #expect(transport.unanswered == 0)
        #expect(transport.connections > 20)
    }

    /// Each answer says which connection it came on.
    private func readPairs(_ count: Int, _ client: ZooKeeperClient) async throws -> (whole: Int, torn: Int) {
        var (whole, torn) = (0, 0)
        for _ in 0..<count {
            let results = try await client.connectedSession().sendAll(
                [.data(path: "/a"), .data(path: "/b"), .data(path: "/c")], batch: RequestBatch())
            let numbers = results.compactMap { try? $0.get().data.data }
            if numbers.count == results.count, Set(numbers).count == 1 { whole += 1 }
            if Set(numbers).count > 1 { torn += 1 }
        }
        return (whole, torn)
    }

    @Test func `the end of a held znode is told, whichever connection watches it`() async throws {
        try await withClient { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await disturb(client) }
                for number in 0..<300 {
                    let path = "/held/\(number)"
                    let hold = try await client.connectedSession().hold(path, czxid: ZXID(rawValue: 5))
                    if number.isMultiple(of: 2) { _ = try? await client.data(at: path) }
                    transport.delete(path)
                    #expect(try await hold.waitForLoss() == .znodeDeleted)
                    #expect(!hold.isValid)
                    hold.release()
                }
                group.cancelAll()
            }
        }
        #expect(transport.unanswered == 0)
    }
}

/// Servers in memory: they know every path until it is deleted, and say on which connection they answer.
private final class ThreadedTransport: Transport {
    private struct State {
        var present: ThreadedConnection?
        var count = 0
        var deleted: Set<String> = []
    }

    private let state = Mutex(State())
    private let submitted = Atomic(0)
    private let completed = Atomic(0)
    /// How many requests have been answered.
    let answers = Broadcast(0)

    var connections: Int { state.withLock { $0.count } }
    var unanswered: Int { submitted.load(ordering: .acquiring) - completed.load(ordering: .acquiring) }

    func makeConnection(
        to endpoint: TransportEndpoint, receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection {
        state.withLock { state in
            state.count += 1
            let connection = ThreadedConnection(state.count, of: self, receive: receive)
            state.present = connection
            return connection
        }
    }

    func lose() { state.withLock { $0.present }?.lose() }

    func delete(_ path: String) {
        let connection = state.withLock { state in
            state.deleted.insert(path)
            return state.present
        }
        connection?.tellDeletion(of: path)
    }

    func isDeleted(_ path: String) -> Bool { state.withLock { $0.deleted.contains(path) } }

    /// Counts a request, and its answer.
    func counted(_ completion: @escaping @Sendable (TransportReply) -> Void) -> @Sendable (TransportReply) -> Void {
        submitted.add(1, ordering: .relaxed)
        return { reply in
            let count = self.completed.add(1, ordering: .relaxed).newValue
            completion(reply)
            self.answers.send(count)
        }
    }
}

/// One connection, and its thread; each step may take a while.
private final class ThreadedConnection: TransportConnection {
    private struct State {
        /// Grows with each loss: what was sent before is lost with it.
        var attempt = 0
        var isClosed = false
    }

    private let number: Int
    private let transport: ThreadedTransport
    private let receive: @Sendable (TransportEvent) -> Void
    private let thread: DispatchQueue
    private let state = Mutex(State())
    /// The attempt that stands, and what is watched on it; of the connection's thread.
    private let standing = Mutex<(attempt: Int, watched: Set<String>)>((0, []))

    init(_ number: Int, of transport: ThreadedTransport, receive: @escaping @Sendable (TransportEvent) -> Void) {
        self.number = number
        self.transport = transport
        self.receive = receive
        thread = DispatchQueue(label: "connection \(number)")
    }

    private func later(_ work: @escaping @Sendable () -> Void) {
        thread.async {
            if Int.random(in: 0..<4) == 0 { usleep(UInt32.random(in: 0...200)) }
            work()
        }
    }

    func open() {
        later { self.connect() }
    }

    private func connect() {
        guard !state.withLock({ $0.isClosed }) else { return }
        receive(.connected(TransportSession(id: 1, password: Array(repeating: 1, count: 16), timeout: 10_000)))
    }

    func lose() {
        state.withLock { $0.attempt += 1 }
        later {
            self.standing.withLock { $0.attempt = self.state.withLock { $0.attempt } }
            self.receive(.disconnected)
            self.connect()
            // The library has set its watches again.
            for path in self.standing.withLock({ $0.watched }) where self.transport.isDeleted(path) { self.tell(path) }
        }
    }

    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void) {
        let completion = transport.counted(completion)
        let attempt = state.withLock { $0.isClosed ? nil : $0.attempt }
        guard let attempt else { return completion(TransportReply(code: -116)) }
        later {
            // Only what was sent on the connection that stands is answered.
            guard self.standing.withLock({ $0.attempt }) == attempt, !self.state.withLock({ $0.isClosed }) else {
                return completion(TransportReply(code: -4))
            }
            completion(self.answer(to: request, attempt))
        }
    }

    private func answer(to request: TransportRequest, _ attempt: Int) -> TransportReply {
        switch request {
        case .getData(let path, let watches):
            if transport.isDeleted(path) { return TransportReply(code: -101) }
            if watches { standing.withLock { _ = $0.watched.insert(path) } }
            // Deleted after the first check, when no watch had been recorded yet.
            if transport.isDeleted(path) { tellDeletion(of: path) }
            return TransportReply(code: 0, body: .data(Array("\(number)/\(attempt)".utf8), .test()))
        case .exists: return TransportReply(code: 0, body: .stat(.test()))
        case .multi(let operations):
            let codes = operations.map { operation -> ReplyCode in
                if case .check(let path, _) = operation, transport.isDeleted(path) { return -101 }
                return 0
            }
            let body = TransportBody.multi(codes.map { TransportOperationResult(code: $0) })
            return TransportReply(code: codes.first { $0 != .ok } ?? .ok, body: body)
        default: return TransportReply(code: 0)
        }
    }

    func tellDeletion(of path: String) {
        later { self.tell(path) }
    }

    private func tell(_ path: String) {
        let isWatched = standing.withLock { $0.watched.remove(path) != nil }
        if isWatched { receive(.watch(TransportWatchEvent(kind: .deleted, path: path))) }
    }

    func close(_ end: TransportClose) async -> Bool {
        state.withLock { $0.isClosed = true }
        await withCheckedContinuation { continuation in thread.async { continuation.resume() } }
        return end == .keepSession
    }
}
