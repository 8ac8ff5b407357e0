import ZooKeeper
import ZooKeeperRecipes

/// A cache of one znode; what it has seen can be waited for.
final class CacheTicket: Ticket {
    private let cache: NodeCache
    private let task: Task<Void, any Error>

    init(client: ZooKeeperClient, path: String) throws {
        let cache = try NodeCache(client: client, path: path)
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

/// A member of a group.
final class MemberTicket: Ticket {
    private let membership: GroupMembership
    private let task: Task<Void, any Error>

    init(client: ZooKeeperClient, path: String, id: String, data: String) throws {
        let membership = try GroupMembership(client: client, path: path, id: id, data: Array(data.utf8))
        self.membership = membership
        task = Task { try await membership.run() }
    }

    /// Waits until the members that it knows are those asked for, with their data.
    func tell(_ question: [String]) async throws -> String {
        for await members in membership.changes {
            let known = members.sorted.map { "\($0.id)=\(String(decoding: $0.data ?? [], as: UTF8.self))" }
            if known == question { return known.joined(separator: " ") }
        }
        throw PeerError("the membership has stopped")
    }

    func give() async throws {
        task.cancel()
        _ = await task.result
    }
}

/// A processor of exclusive mode.
final class ProcessorTicket: Ticket {
    private let task: Task<Void, any Error>
    private let processed = Broadcast(0)

    init(client: ZooKeeperClient, base: String, who: String) throws {
        let gate = try ExclusiveMode(client: client, path: base).gate(id: who)
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
                try await gate.withSynchronousPermit { permit in
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
