import ZooKeeper
import ZooKeeperRecipes

/// A selector whose terms are used one after the other; it stays in the race in between.
final class PeerSelector: Sendable {
    /// What somebody waits to do as the leader.
    private final class Turn: Sendable {
        let body: PeerRecipe.Body
        let done = OneShot<Result<Void, any Error>>()

        init(_ body: @escaping PeerRecipe.Body) {
            self.body = body
        }
    }

    private let selector: LeaderSelector
    private let turns: Broadcast<Turn?>
    private let task: Task<Void, any Error>

    init(client: ZooKeeperClient, path: String, id: String) throws {
        let turns = Broadcast<Turn?>(nil)
        let selector = try LeaderSelector(client: client, path: path, id: id, configuration: withoutPauses) { term in
            for await case .some(let turn) in turns.follow() {
                turns.send(nil)
                do {
                    try await turn.body(PeerGrant(term, at: path, client: client))
                    turn.done.set(.success(()))
                } catch {
                    turn.done.set(.failure(error))
                }
                return
            }
        }
        self.turns = turns
        self.selector = selector
        task = Task { try await selector.run() }
    }

    /// Runs a body in the next term.
    func lead(_ body: @escaping PeerRecipe.Body) async throws {
        let turn = Turn(body)
        turns.send(turn)
        try await turn.done.wait().get()
    }

    func interrupt() async throws { try await selector.resign() }

    func transfer(to id: String) async throws { try await selector.resign(to: id) }

    func close() async {
        task.cancel()
        _ = await task.result
    }
}

/// Leads once, by a latch of its own.
func leadByLatch(
    client: ZooKeeperClient, path: String, id: String, _ body: @escaping PeerRecipe.Body
) async throws {
    let latch = try LeaderLatch(client: client, path: path, id: id, configuration: withoutPauses)
    let runs = Task { try await latch.run() }
    let term = try await latch.waitUntilLeader()
    try await body(PeerGrant(term, at: path, client: client))
    try await latch.close()
    _ = await runs.result
}

extension PeerGrant {
    /// A term's own token is of when it took office, which another maker's term does not have: the candidate's compares.
    init(_ term: Term, at path: String, client: ZooKeeperClient) async throws {
        guard let leader = try await LeaderSelector.leader(client: client, path: path),
            let stat = try await client.exists(at: "\(path)/\(leader.znode)")
        else { throw PeerError("nobody leads") }
        self.init(token: stat.czxid.rawValue, isWriter: true, isValid: { term.isValid })
    }
}

/// The participants' ids in their order; the leader's with a star.
func participants(at path: String, client: ZooKeeperClient) async throws -> String {
    try await LeaderSelector.participants(client: client, path: path)
        .map { $0.id + ($0.isLeader ? "*" : "") }.joined(separator: " ")
}

/// Terms follow one another as fast as they can.
private var withoutPauses: LeaderConfiguration {
    var configuration = LeaderConfiguration()
    configuration.minimumTermDuration = .zero
    return configuration
}
