internal import HashTreeCollections
public import ZooKeeper

/// A znode as a ``ChildrenCache`` or a ``TreeCache`` knows it.
public struct CachedZNode: Sendable, Hashable {
    /// Where it stands.
    @ZNodeName public var path: String
    /// What it holds; `nil` when only names are followed, or when it cannot be read.
    public var data: [UInt8]?
    /// Its stat as of the last read of its data; what its children do later does not show in it.
    public var stat: ZNodeStat?
    /// Why it cannot be read, as for lack of the right to (`.noAuth`); it is asked again every few seconds.
    public var error: ZooKeeperError?
    /// Whether a write to it is told by the server; else it is looked at again at intervals.
    public var isWatched: Bool

    /// Makes one, for tests.
    public init(
        path: String, data: [UInt8]? = nil, stat: ZNodeStat? = nil, error: ZooKeeperError? = nil, isWatched: Bool = true
    ) {
        self.path = path
        self.data = data
        self.stat = stat
        self.error = error
        self.isWatched = isWatched
    }

    /// The last part of its path.
    public var name: String { ZNodeKey.name(ofPath: path) }
}

/// What a cache of several znodes knows of them at one moment.
///
/// A copy costs nothing, however many they are: snapshots share what has not changed between them.
public struct CacheSnapshot: Sendable, Sequence {
    /// The znode that the cache was made for.
    public let root: String
    var znodes: TreeDictionary<ZNodeKey, CachedZNode> = [:]

    init(root: String) {
        self.root = root
    }

    /// Makes a snapshot, for tests.
    public init(root: String, znodes: [CachedZNode]) {
        self.root = root
        for znode in znodes {
            guard let key = ZNodeKey(path: znode.path, below: root) else { continue }
            self.znodes[key] = znode
        }
    }

    /// How many znodes there are.
    public var count: Int { znodes.count }
    /// Whether there is none.
    public var isEmpty: Bool { znodes.isEmpty }

    /// The child of the root with a name, or what stands at a path relative to the root: `a/b`.
    public subscript(name: String) -> CachedZNode? { znodes[ZNodeKey(name)] }

    /// What stands at an absolute path.
    public subscript(path path: String) -> CachedZNode? {
        ZNodeKey(path: path, below: root).flatMap { znodes[$0] }
    }

    /// All of them by path.
    ///
    /// - Complexity: O(*n* log *n*).
    public var sorted: [CachedZNode] { znodes.values.sorted { ZNodeName($0.path) < ZNodeName($1.path) } }

    /// All of them, in no order.
    public func makeIterator() -> some IteratorProtocol<CachedZNode> { znodes.values.makeIterator() }
}

/// A znode below a root, by its relative path: compared by its bytes, as servers do.
struct ZNodeKey: Hashable, Sendable, Comparable {
    @ZNodeName private(set) var text: String

    /// The root itself.
    static let root = ZNodeKey("")

    init(_ text: String) {
        self.text = text
    }

    init?(path: String, below root: String) {
        guard path.utf8.elementsEqual(root.utf8) == false else {
            text = ""
            return
        }
        let prefix = root == "/" ? root : root + "/"
        guard path.utf8.starts(with: prefix.utf8) else { return nil }
        text = String(decoding: path.utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }

    func appending(_ name: String) -> ZNodeKey { text.isEmpty ? ZNodeKey(name) : ZNodeKey(text + "/" + name) }

    func path(below root: String) -> String {
        if text.isEmpty { return root }
        return root == "/" ? "/" + text : root + "/" + text
    }

    static func < (left: ZNodeKey, right: ZNodeKey) -> Bool { left._text < right._text }
}
