import Logging
import Synchronization
import ZooKeeperBridge
import ZooKeeperTransport

/// A connection of the C transport, and everything it has said.
final class BridgeSession: Sendable {
    enum Entry: Sendable {
        case event(TransportEvent)
        case reply(Int, TransportReply)
    }

    let connection: any TransportConnection
    let journal: Journal<Entry>

    init(
        to servers: [String], timeout: Int32 = 4_000, session: TransportSession? = nil,
        credentials: [TransportCredential] = []
    ) {
        let journal = Journal<Entry>()
        let endpoint = TransportEndpoint(
            servers: servers, sessionTimeout: timeout, session: session, credentials: credentials)
        self.journal = journal
        connection = CTransport(logger: Logger(label: "bridge-tests")).makeConnection(to: endpoint) { event in
            journal.append(.event(event))
        }
    }

    /// Opens the connection and waits until its session stands.
    @discardableResult
    func connect() async throws -> TransportSession {
        connection.open()
        return try await connected()
    }

    /// Waits for the session to stand, from an entry of the journal on.
    func connected(from index: Int = 0) async throws -> TransportSession {
        let event = await event(from: index) { event in
            switch event {
            case .connected, .expired, .authenticationFailed, .openFailed: true
            case .disconnected, .watch: false
            }
        }
        guard case .connected(let session) = event else { throw UnexpectedEvent(event: event) }
        return session
    }

    func event(from index: Int = 0, where isIt: @escaping @Sendable (TransportEvent) -> Bool) async -> TransportEvent {
        let entry = await journal.first(from: index) { entry in
            if case .event(let event) = entry { isIt(event) } else { false }
        }
        guard case .event(let event) = entry else { preconditionFailure("the journal gave what it was not asked for") }
        return event
    }

    func watchEvent(from index: Int = 0) async -> TransportWatchEvent {
        let event = await event(from: index) { if case .watch = $0 { true } else { false } }
        guard case .watch(let watchEvent) = event else { preconditionFailure("the journal gave another event") }
        return watchEvent
    }

    /// Sends a request and waits for its answer.
    @discardableResult
    func send(_ request: TransportRequest) async -> TransportReply {
        await withCheckedContinuation { continuation in
            connection.submit(request) { continuation.resume(returning: $0) }
        }
    }

    /// Sends a request whose answer goes to the journal.
    func post(_ number: Int, _ request: TransportRequest) {
        connection.submit(request) { [journal] in journal.append(.reply(number, $0)) }
    }

    var watchEvents: [TransportWatchEvent] {
        journal.entries.compactMap { if case .event(.watch(let event)) = $0 { event } else { nil } }
    }

    var replies: [(number: Int, reply: TransportReply)] {
        journal.entries.compactMap { if case .reply(let number, let reply) = $0 { (number, reply) } else { nil } }
    }

    func count(_ isIt: (TransportEvent) -> Bool) -> Int {
        journal.entries.count { if case .event(let event) = $0 { isIt(event) } else { false } }
    }
}

struct UnexpectedEvent: Error {
    var event: TransportEvent
}

/// What happened, in its order, and who waits for it.
final class Journal<Entry: Sendable>: Sendable {
    private struct State {
        var entries: [Entry] = []
        var waiters: [@Sendable (Entry) -> Bool] = []
    }

    private let state = Mutex(State())

    var entries: [Entry] { state.withLock { $0.entries } }

    func append(_ entry: Entry) {
        state.withLock { state in
            state.entries.append(entry)
            state.waiters.removeAll { $0(entry) }
        }
    }

    /// The first entry from an index on that satisfies a condition; waits until there is one.
    func first(from index: Int = 0, where isIt: @escaping @Sendable (Entry) -> Bool) async -> Entry {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                if let entry = state.entries.dropFirst(index).first(where: isIt) {
                    continuation.resume(returning: entry)
                } else {
                    state.waiters.append { entry in
                        guard isIt(entry) else { return false }
                        continuation.resume(returning: entry)
                        return true
                    }
                }
            }
        }
    }
}

let openACL = [TransportACL(permissions: 31, scheme: "world", id: "anyone")]

extension TransportRequest {
    static func create(
        _ path: String, _ data: [UInt8]? = [], mode: TransportCreateMode = .persistent
    ) -> TransportRequest {
        .create(path: path, data: data, mode: mode, acl: openACL)
    }
}
