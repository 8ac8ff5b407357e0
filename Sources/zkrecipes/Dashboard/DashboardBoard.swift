import CommandLineSupport
import Synchronization
import ZooKeeper

/// The newest values of all recipes, from which the state of the pages is composed.
final class DashboardBoard: Sendable {
    /// The arrays of the state.
    enum Section: String, Sendable, CaseIterable {
        case exclusive, queues, schedules, partitions

        /// The section of a recipe; `nil` for znodes that are no recipe.
        init?(_ kind: RecipeKind) {
            switch kind {
            case .exclusiveMode: self = .exclusive
            case .scheduledTask: self = .schedules
            case .partitionGroup: self = .partitions
            case .mutex, .readWriteLock, .semaphore, .leaderElection, .leaderLatch, .group, .doubleBarrier:
                self = .queues
            case .znode: return nil
            }
        }
    }

    /// A recipe at a path.
    struct Key: Hashable, Comparable, Sendable {
        @ZNodeName var path: String
        var kind: RecipeKind

        static func < (one: Key, other: Key) -> Bool {
            (ZNodeName(one.path), one.kind.rawValue) < (ZNodeName(other.path), other.kind.rawValue)
        }
    }

    /// Whether the client is connected.
    struct Connection: Encodable, Sendable, Equatable {
        var state: String
        var servers: String
        var since: Int64
    }

    /// The values that do not change while the program runs.
    struct Constants: Sendable {
        var servers: String
        var paths: [String]
        /// The names of the operator commands that are possible; `nil` if changes are not allowed.
        var verbs: [String]?
    }

    private struct Head: Encodable {
        struct Changes: Encodable {
            var allowed: Bool
            var verbs: [String]
        }

        var version = 1
        var time: Int64
        var connection: Connection
        var changes: Changes
        var paths: [String]
        var isReading: Bool
        var notes: [String]
    }

    private struct State {
        var connection: Connection
        /// The JSON object of each recipe; `nil` until it was read.
        var recipes: [Key: String?] = [:]
        var ensemble = Text.json(EnsembleForm())
        var notes: [String] = []
        var isReading = false
    }

    private let constants: Constants
    private let state: Mutex<State>
    /// Wakes the publisher after a change.
    let changed = WakeUp()

    init(_ constants: Constants, at now: Timestamp = .now) {
        self.constants = constants
        state = Mutex(
            State(
                connection: Connection(
                    state: "disconnected", servers: constants.servers, since: now.millisecondsSince1970)))
    }

    // MARK: Changes

    /// Adds a recipe, whose values follow.
    func add(_ key: Key) { change { $0.recipes.updateValue(.none, forKey: key) } }

    func remove(_ key: Key) { change { $0.recipes.removeValue(forKey: key) } }

    /// Replaces the values of a recipe, unless it was removed.
    ///
    /// - Returns: Whether they differ from the ones before.
    @discardableResult
    func set(_ form: some Encodable, for key: Key) -> Bool {
        let json = Text.json(DashboardEntry(path: key.path, form: form))
        let isChanged = state.withLock { state in
            guard let known = state.recipes[key], !(known?.hasBytes(of: json) ?? false) else { return false }
            state.recipes[key] = json
            return true
        }
        if isChanged { changed.signal() }
        return isChanged
    }

    func set(_ ensemble: EnsembleForm) { change { $0.ensemble = Text.json(ensemble) } }

    func set(notes: [String]) {
        let isChanged = state.withLock { state in
            defer { (state.notes, state.isReading) = (notes, true) }
            return state.notes != notes || !state.isReading
        }
        if isChanged { changed.signal() }
    }

    func set(isConnected: Bool, at now: Timestamp = .now) {
        let name = isConnected ? "connected" : "disconnected"
        let isChanged = state.withLock { state in
            guard state.connection.state != name else { return false }
            (state.connection.state, state.connection.since) = (name, now.millisecondsSince1970)
            return true
        }
        if isChanged { changed.signal() }
    }

    /// Forgets all recipes, which are no longer read.
    func reset() {
        change { state in (state.recipes, state.notes, state.isReading) = ([:], [], false) }
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLock { body(&$0) }
        changed.signal()
    }

    // MARK: The state

    /// Returns the state as one line of JSON.
    func compose(at now: Timestamp = .now) -> String {
        let state = state.withLock { $0 }
        let head = Text.json(
            Head(
                time: now.millisecondsSince1970, connection: state.connection,
                changes: .init(allowed: constants.verbs != nil, verbs: constants.verbs ?? []),
                paths: constants.paths, isReading: state.isReading, notes: state.notes))
        var json = String(head.dropLast())
        let recipes = state.recipes.compactMap { key, json in json.map { (key: key, json: $0) } }
            .sorted { $0.key < $1.key }
        for section in Section.allCases {
            let own = recipes.lazy.filter { Section($0.key.kind) == section }.map(\.json)
            json += ",\"\(section.rawValue)\":[\(own.joined(separator: ","))]"
        }
        return json + ",\"ensemble\":\(state.ensemble)}"
    }
}
