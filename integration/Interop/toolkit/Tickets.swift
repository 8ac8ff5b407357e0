import Synchronization
import ZooKeeper

/// Something that was taken and can be given back.
protocol Ticket: Sendable {
    func give() async throws
    func act() async throws
    func downgrade() async throws
    func interrupt() async throws
    func transfer(to id: String) async throws
    func tell(_ question: [String]) async throws -> String
}

extension Ticket {
    func act() async throws { throw PeerError("nothing to do") }
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

    /// Does something by what is held.
    func act() async throws { try await taken.wait().get().tellAct(who) }

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
