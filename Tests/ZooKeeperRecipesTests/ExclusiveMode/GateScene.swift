import ZooKeeperTransport

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// A gate, and the session that its grants are of.
struct GateScene {
    let clock = StillClock()
    let client: ZooKeeperClient
    let gate: EventGate
    let session: SessionHandle

    init() throws {
        client = try .withoutServer(clock: clock)
        gate = try ExclusiveMode(client: client, path: "/base").gate(id: "one")
        session = .handMade(of: client)
    }

    func prove(until seconds: Int) {
        session.extend(to: MonotonicInstant(nanoseconds: 0) + .seconds(seconds), timeout: .seconds(4))
        session.validityChanged()
    }

    /// A grant that is watched: as far as its znode goes it is valid without limit.
    func grant(_ token: Int64) -> GateGrant {
        gate.prepare(session.holdWatched("/base/locks/\(token)", czxid: token, of: client))
    }

    func openGate(_ token: Int64) -> GateGrant {
        let grant = grant(token)
        gate.open(grant)
        return grant
    }

    var isShut: Bool { gate.tryEnter() == nil && gate.counter.total == 0 }
}

/// The code of the error that a call throws; `nil` if it throws none, or another kind.
func recipeErrorCode(_ call: () async throws -> Void) async -> RecipeError.Code? {
    do {
        try await call()
        return nil
    } catch {
        return (error as? RecipeError)?.code
    }
}
