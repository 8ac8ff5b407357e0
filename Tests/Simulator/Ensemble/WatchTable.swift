internal import ZooKeeper
internal import ZooKeeperTransport

/// Who of a server's clients waits for what becomes of a path, once each.
struct WatchTable {
    private var watchers: [ZNodeName: [ServerConnection]] = [:]

    var isEmpty: Bool { watchers.isEmpty }

    mutating func add(_ connection: ServerConnection, to path: String) {
        if watchers[path, default: []].contains(where: { $0 === connection }) { return }
        watchers[path, default: []].append(connection)
    }

    /// Takes all of a path's watchers, in the order in which they came.
    mutating func take(_ path: String) -> [ServerConnection] {
        watchers.removeValue(forKey: path) ?? []
    }

    /// Takes one watcher away; `false` when it does not watch.
    mutating func remove(_ connection: ServerConnection, from path: String) -> Bool {
        guard let index = watchers[path]?.firstIndex(where: { $0 === connection }) else { return false }
        watchers[path]?.remove(at: index)
        if watchers[path]?.isEmpty == true { watchers[path] = nil }
        return true
    }

    mutating func removeAll() {
        watchers.removeAll()
    }
}
