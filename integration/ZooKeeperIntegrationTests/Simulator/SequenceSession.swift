import ZooKeeper
import ZooKeeperTransport

/// One session of a sequence, and all that it was told.
final class SequenceSession: Sendable {
    enum Entry: Sendable {
        case event(TransportEvent)
        case reply(TransportRequest, TransportReply)
    }

    let id: Int64
    private let connection: any TransportConnection
    private let journal: Journal<Entry>

    /// Opens a connection, and returns when its session stands.
    init(in world: any SequenceWorld, slot: Int) async throws {
        let journal = Journal<Entry>()
        connection = world.makeConnection(slot: slot) { journal.append(.event($0)) }
        self.journal = journal
        connection.open()
        let first = await journal.first { if case .event = $0 { true } else { false } }
        guard case .event(.connected(let session)) = first else { throw UnexpectedEntry(entry: first) }
        id = session.id
    }

    var entries: [Entry] { journal.entries }

    /// Sends requests without waiting between them, and waits for all answers.
    func perform(_ requests: [TransportRequest]) async throws {
        let answers = requests.map { request in
            let answer = OneShot<Void>()
            connection.submit(request) { [journal] reply in
                journal.append(.reply(request, reply))
                answer.set(())
            }
            return answer
        }
        for answer in answers { try await answer.wait() }
    }

    /// Waits for the events that are on their way: a server tells them before it answers.
    func settle() async throws {
        try await perform([.sync(path: "/")])
    }

    func end() async throws {
        try await settle()
        await connection.close(.endSession)
    }

    /// Breaks the connection while nothing is on its way, and returns when the client knows.
    func lose(_ cut: () async -> Void) async throws {
        try await settle()
        let index = journal.entries.count
        await cut()
        _ = await journal.first(from: index) { if case .event(.disconnected) = $0 { true } else { false } }
    }

    /// Returns when the session stands again, and all has been told that happened meanwhile.
    func regain(_ restore: () async -> Void) async throws {
        let index = journal.entries.count
        await restore()
        _ = await journal.first(from: index) { if case .event(.connected) = $0 { true } else { false } }
        try await settle()
    }
}

struct UnexpectedEntry: Error {
    var entry: SequenceSession.Entry
}

extension RandomSequence {
    /// Runs the sequence, and gives what each session was told, in the order in which the sessions began.
    func run(in world: any SequenceWorld) async throws -> [SequenceTranscript] {
        var sessions: [SequenceSession] = []
        for slot in 0..<Self.slots { sessions.append(try await SequenceSession(in: world, slot: slot)) }
        var present = sessions
        try await present[0].perform([.create(root)])
        for step in steps {
            switch step {
            case .perform(let requests, let slot):
                try await present[slot].perform(requests)
            case .reopen(let slot):
                try await present[slot].end()
                present[slot] = try await SequenceSession(in: world, slot: slot)
                sessions.append(present[slot])
            case .cut(let slot):
                try await present[slot].lose { await world.cut(slot: slot) }
            case .restore(let slot):
                try await present[slot].regain { await world.restore(slot: slot) }
            }
        }
        for session in present { try await session.end() }
        return SequenceTranscript.of(sessions)
    }
}
