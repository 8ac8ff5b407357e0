import Synchronization
import ZooKeeper

/// The watches on the znodes of a recipe, for a loop that reads the recipe again after each change.
///
/// A watch that has not fired stays set from one round to the next: its znode is unchanged.
final class RecipeWatches: Sendable {
    private struct Key: Hashable {
        @ZNodeName var path: String
        var kind: WatchedKind
    }

    private struct Entry: Sendable {
        var watch: Watch
        /// The children at the time when the watch was set; empty for a watch on a znode itself.
        var names: [String] = []
        /// The last round that needed the watch.
        var round: Int
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var round = 0
    }

    private let client: ZooKeeperClient
    private let state = Mutex(State())
    private let changed = WakeUp()

    init(client: ZooKeeperClient) { self.client = client }

    /// Runs a round, which calls ``watch(_:)`` and ``children(of:)`` for all znodes that matter, and removes the watches
    /// that it does not need any more.
    func renew<Result>(_ round: () async throws -> Result) async throws -> Result {
        state.withLock { $0.round += 1 }
        let result = try await round()
        // Released outside of the lock, which removes the watches.
        let unneeded = state.withLock { state in
            let unneeded = state.entries.filter { $0.value.round < state.round }
            for key in unneeded.keys { state.entries[key] = nil }
            return unneeded
        }
        _ = unneeded
        return result
    }

    /// Watches znodes for their creation, the next write or their deletion.
    func watch(_ paths: [String]) async throws {
        let missing = paths.filter { kept(Key(path: $0, kind: .data)) == nil }
        _ = try await inParallel(missing) { path in
            self.add(try await self.client.watchExistence(at: path).watch, [], for: Key(path: path, kind: .data))
        }
    }

    /// Watches the children of a znode, or the creation of the znode.
    ///
    /// - Returns: The names of the children; none if the znode does not exist.
    func children(of path: String) async throws -> [String] {
        let key = Key(path: path, kind: .children)
        if let names = kept(key) { return names }
        do {
            let (names, _, watch) = try await client.watchChildren(of: path)
            add(watch, names, for: key)
            return names
        } catch let error as ZooKeeperError where error.code == .noNode {
            add(try await client.watchExistence(at: path).watch, [], for: key)
            return []
        }
    }

    /// Waits until a watch has fired, or until a deadline has passed or the task is cancelled.
    func wait(until deadline: MonotonicInstant? = nil) async {
        let clock = client.clock
        while !Task.isCancelled, !hasFired, deadline.map({ clock.now < $0 }) ?? true {
            await changed.wait(until: deadline, clock: clock)
        }
    }

    private var hasFired: Bool { state.withLock { $0.entries.values.contains(where: \.watch.hasFired) } }

    /// Marks a watch as needed; returns its names, or `nil` if it must be set.
    private func kept(_ key: Key) -> [String]? {
        state.withLock { state in
            guard let entry = state.entries[key], !entry.watch.hasFired else { return nil }
            state.entries[key]?.round = state.round
            return entry.names
        }
    }

    private func add(_ watch: Watch, _ names: [String], for key: Key) {
        let replaced = state.withLock { state in
            state.entries.updateValue(Entry(watch: watch, names: names, round: state.round), forKey: key)
        }
        _ = replaced
        watch.observe { [changed] in changed.signal() }
    }
}
