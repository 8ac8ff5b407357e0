import ZooKeeper
import ZooKeeperRecipes

// Placeholders for the parts of a program that the snippets use.

/// An event.
struct Event: Sendable {}

/// A store that refuses tokens lower than the highest it has seen.
struct Store: Sendable {
    func write(_ event: Event, token: FencingToken) throws {}
    func replaceAll(with items: [String], token: FencingToken) async throws {}
}

func report(token: FencingToken) async throws {}
func apply(_ data: [UInt8]) {}

/// A record that is written under a lock.
struct Invoice: Sendable {}

extension Store {
    func write(_ invoice: Invoice, token: FencingToken) async throws {}
}

/// The client library of a database.
struct Database: Sendable {
    func execute(_ statement: String, _ parameters: [any Sendable]) async throws -> Int { 1 }
}

func beginNothingNew(until instant: ContinuousClock.Instant?) {}
func stop() {}
