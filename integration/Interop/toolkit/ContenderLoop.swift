import ZooKeeper

/// Contenders that take and give back, over and over.
struct ContenderLoop: Sendable {
    let kind: String
    let path: String
    let name: String
    let clients: PeerClients

    func run(contenders: Int, times: Int) async throws -> String {
        for number in 0..<contenders { _ = try await clients[number] }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<contenders {
                group.addTask { try await contend(number, times: times) }
            }
            try await group.waitForAll()
        }
        return "\(contenders * times)"
    }

    private func contend(_ number: Int, times: Int) async throws {
        let who = "\(name).\(number)"
        guard kind.hasPrefix("read-write") else {
            let recipe = try PeerRecipe(kind, path: path, client: await clients[number], id: who)
            let client = kind.hasPrefix("semaphore") ? try await clients[number] : nil
            for _ in 0..<times { try await turn(recipe, who, client: client) }
            return try await recipe.close()
        }
        let reader = try PeerRecipe("read", path: path, client: await clients[number], id: who)
        let writer = try PeerRecipe("write", path: path, client: await clients[number], id: who)
        for turn in 0..<times {
            // A third writes; a third of those goes on as a reader.
            let isWriter = (turn + number) % 3 == 0
            let downgrades = kind == "read-write-downgrading" && (turn + number) % 9 == 0
            try await self.turn(isWriter ? writer : reader, who, downgrades: downgrades)
        }
    }

    /// With a client, work takes a few round trips, so that those who may work together do.
    private func turn(
        _ recipe: PeerRecipe, _ who: String, downgrades: Bool = false, client: ZooKeeperClient? = nil
    ) async throws {
        try await recipe.hold { grant in
            grant.tellBegin(who)
            if let client {
                for _ in 0..<5 { _ = try await client.exists(at: "/") }
            }
            if downgrades {
                grant.tellAct(who)
                Output.tell(who, "downgraded \(grant.token)")
                try await grant.downgrade()
                grant.tellAct(who)
            }
            grant.tellEnd(who)
        }
    }
}
