import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// Something that was taken and can be given back.
protocol Ticket: Sendable {
    func give() async throws
    func downgrade() async throws
    func interrupt() async throws
    func transfer(to id: String) async throws
    func tell(_ question: [String]) async throws -> String
}

extension Ticket {
    func downgrade() async throws { throw PeerError("no downgrade") }
    func interrupt() async throws { throw PeerError("nobody to interrupt") }
    func transfer(to id: String) async throws { throw PeerError("nothing to transfer") }
    func tell(_ question: [String]) async throws -> String { throw PeerError("nothing to tell") }
}

/// What was taken, by the names that the commands give.
final class Tickets: Sendable {
    private let tickets = Mutex<[String: any Ticket]>([:])

    subscript(name: String) -> (any Ticket)? {
        get { tickets.withLock { $0[name] } }
        set { tickets.withLock { $0[name] = newValue } }
    }

    func find(_ name: String) throws -> any Ticket {
        guard let ticket = self[name] else { throw PeerError("no ticket \(name)") }
        return ticket
    }

    func remove(_ name: String) throws -> any Ticket {
        defer { self[name] = nil }
        return try find(name)
    }
}

/// A grant that is kept until it is told to be given back.
final class Holding: Ticket {
    private let recipe: PeerRecipe
    private let who: String
    private let taken = OneShot<Result<PeerGrant, any Error>>()
    private let given = OneShot<Void>()
    private let task: Task<Void, any Error>

    init(_ recipe: PeerRecipe, who: String) {
        self.recipe = recipe
        self.who = who
        let (taken, given) = (taken, given)
        task = Task {
            do {
                try await recipe.hold { grant in
                    grant.tellBegin(who)
                    taken.set(.success(grant))
                    try await given.wait()
                    grant.tellEnd(who)
                }
            } catch {
                taken.set(.failure(error))
                throw error
            }
        }
    }

    /// Waits until it is granted, or fails.
    func token() async throws -> String { "\(try await taken.wait().get().token)" }

    func give() async throws {
        given.set(())
        try await task.value
        try await recipe.close()
    }

    /// Waits until somebody asks for what is held, and tells who.
    func tell(_ question: [String]) async throws -> String { try await taken.wait().get().request() }

    /// Another one leads; this one takes part no more.
    func transfer(to id: String) async throws {
        try await recipe.transfer(id)
        try await recipe.close()
    }

    /// The leader steps down, and takes part no more.
    func interrupt() async throws {
        try await recipe.interrupt()
        try await recipe.close()
    }

    func downgrade() async throws {
        let grant = try await taken.wait().get()
        grant.tellAct(who)
        Output.tell(who, "downgraded \(grant.token)")
        try await grant.downgrade()
    }
}

/// A cache of one znode; what it has seen can be waited for.
final class CacheTicket: Ticket {
    private let cache: NodeCache
    private let task: Task<Void, any Error>

    init(client: ZooKeeperClient, path: String) throws {
        let cache = try NodeCache(path, client: client)
        self.cache = cache
        task = Task { try await cache.run() }
    }

    /// Waits until the znode's data are those asked for, "-" for no znode; tells them.
    func tell(_ question: [String]) async throws -> String {
        for await entry in cache.changes {
            switch entry.content {
            case .absent where question.first == "-": return "-"
            case .present(let data, _):
                let text = String(decoding: data, as: UTF8.self)
                if text == question.first { return text }
            default: continue
            }
        }
        throw PeerError("the cache has stopped")
    }

    func give() async throws {
        task.cancel()
        _ = await task.result
    }

    /// Writes a znode; one that is missing is created, and goes with the session.
    static func put(_ data: String, at path: String, client: ZooKeeperClient) async throws {
        do {
            _ = try await client.setData(Array(data.utf8), at: path)
        } catch let error as ZooKeeperError where error.code == .noNode {
            try await client.create(path, data: Array(data.utf8), mode: .ephemeral)
        }
    }
}

/// A processor of exclusive mode.
final class ProcessorTicket: Ticket {
    private let task: Task<Void, any Error>
    private let processed = Broadcast(0)

    init(client: ZooKeeperClient, base: String, who: String) throws {
        let gate = try ExclusiveMode(client: client, path: base).gate(name: who)
        let processed = processed
        task = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await gate.run() }
                defer { group.cancelAll() }
                try await Self.process(gate, who, processed)
            }
        }
    }

    private static func process(_ gate: EventGate, _ who: String, _ processed: Broadcast<Int>) async throws {
        while !Task.isCancelled {
            do {
                try await gate.withPermit { permit in
                    let event = processed.current + 1
                    Output.tell(who, "entered \(event) \(permit.fencingToken)")
                    Output.tell(who, "worked \(event) \(permit.isValid ? "valid" : "invalid")")
                    Output.tell(who, "worked \(event) \(permit.isValid ? "valid" : "invalid")")
                    Output.tell(who, "left \(event)")
                    processed.send(event)
                }
                // A few events a millisecond: evidence, not load.
                try await Task.sleep(for: .milliseconds(1))
            } catch is CancellationError {
                return
            }
        }
    }

    /// Waits until so many more events are processed; tells how many all are.
    func tell(_ question: [String]) async throws -> String {
        let goal = processed.current + (question.first.flatMap { Int($0) } ?? 0)
        for await count in processed.follow(.bufferingNewest(1)) where count >= goal { return "\(count)" }
        throw CancellationError()
    }

    func give() async throws {
        task.cancel()
        try await task.value
    }
}
