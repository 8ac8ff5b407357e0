internal import ZooKeeper
internal import ZooKeeperTransport

/// The watches that the C client remembers, to dispatch events and to set them again on another connection.
///
/// It enters one when the read that sets it is answered: `exists` in a table of its own when the znode is missing.
struct LibraryWatches {
    private var data: Set<ZNodeName> = []
    private var missing: Set<ZNodeName> = []
    private var children: Set<ZNodeName> = []

    var isEmpty: Bool { data.isEmpty && missing.isEmpty && children.isEmpty }

    /// The tables in an order that does not change from run to run.
    var sorted: (data: [String], missing: [String], children: [String]) {
        (data.sorted().strings, missing.sorted().strings, children.sorted().strings)
    }

    mutating func activate(_ request: TransportRequest, code: ReplyCode) {
        switch request {
        case .exists(let path, watch: true):
            if code == .ok { data.insert(path) } else if code == .noNode { missing.insert(path) }
        case .getData(let path, watch: true) where code == .ok: data.insert(path)
        case .getChildren(let path, watch: true) where code == .ok: children.insert(path)
        case .removeWatches(let path, .data) where code == .ok:
            data.remove(path)
            missing.remove(path)
        case .removeWatches(let path, .children) where code == .ok: children.remove(path)
        default: break
        }
    }

    /// Takes away what an event uses up; says whether anybody had asked for it.
    mutating func fire(_ event: TransportWatchEvent) -> Bool {
        let path = event.path
        switch event.kind {
        case .created, .dataChanged: return take(path, from: \.data, \.missing)
        case .childrenChanged: return take(path, from: \.children)
        case .deleted, .notWatching: return take(path, from: \.data, \.missing, \.children)
        }
    }

    private mutating func take(_ path: String, from tables: WritableKeyPath<Self, Set<ZNodeName>>...) -> Bool {
        var wasThere = false
        for table in tables where self[keyPath: table].remove(path) { wasThere = true }
        return wasThere
    }
}
