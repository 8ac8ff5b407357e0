import ZooKeeper
import ZooKeeperRecipes

// What the snippets use of a program around them.

/// Something that happened.
struct Event: Sendable {}

/// A store that refuses tokens lower than the highest it has seen.
struct Store: Sendable {
    func write(_ event: Event, token: FencingToken) throws {}
    func replaceAll(with items: [String], token: FencingToken) async throws {}
}

func report(token: FencingToken) async throws {}
func apply(_ data: [UInt8]) {}
