internal import HashTreeCollections
public import ZooKeeper

/// A znode in a ``ChildrenCache`` or a ``TreeCache``.
public struct CachedZNode: Sendable, Hashable {
    /// The path of the znode.
    @ZNodeName public var path: String
    /// The data of the znode, or `nil` if only names are read or the znode cannot be read.
    public var data: [UInt8]?
    /// The stat of the znode when its data was last read.
    ///
    /// Later changes of its children are not reflected in the stat.
    public var stat: ZNodeStat?
    /// The error of the last read, for example `.noAuth` without permission; the cache tries again every few seconds.
    public var error: ZooKeeperError?
    /// Whether the znode is watched, so that the server notifies the cache about writes.
    ///
    /// Otherwise the znode is read again at intervals.
    public var isWatched: Bool

    /// Creates a znode, for tests.
    public init(
        path: String, data: [UInt8]? = nil, stat: ZNodeStat? = nil, error: ZooKeeperError? = nil, isWatched: Bool = true
    ) {
        self.path = path
        self.data = data
        self.stat = stat
        self.error = error
        self.isWatched = isWatched
    }

    /// The last component of the path.
    public var name: String { ZNodeKey.name(ofPath: path) }
}

/// The znodes in a cache at one moment.
///
/// Copying a snapshot takes constant time, whatever its size. Snapshots share what has not changed between them.
public struct CacheSnapshot: Sendable, Sequence {
    /// The znode that the cache was created for.
    public let root: String
    var znodes: TreeDictionary<ZNodeKey, CachedZNode> = [:]

    init(root: String) {
        self.root = root
    }

    /// Creates a snapshot, for tests.
    public init(root: String, znodes: [CachedZNode]) {
        self.root = root
        for znode in znodes {
            guard let key = ZNodeKey(path: znode.path, below: root) else { continue }
            self.znodes[key] = znode
        }
    }

    /// The number of znodes.
    public var count: Int { znodes.count }
    /// Whether there are no znodes.
    public var isEmpty: Bool { znodes.isEmpty }

    /// The child of the root with a name, or the znode at a path relative to the root, such as `a/b`.
    public subscript(name: String) -> CachedZNode? { znodes[ZNodeKey(name)] }

    /// The znode at an absolute path.
    public subscript(path path: String) -> CachedZNode? {
        ZNodeKey(path: path, below: root).flatMap { znodes[$0] }
    }

    /// All znodes, sorted by path.
    ///
    /// - Complexity: O(*n* log *n*).
    public var sorted: [CachedZNode] { znodes.values.sorted { ZNodeName($0.path) < ZNodeName($1.path) } }

    /// Returns an iterator over all znodes, in no particular order.
    public func makeIterator() -> some IteratorProtocol<CachedZNode> { znodes.values.makeIterator() }
}

/// The path of a znode relative to a root, compared by its bytes as servers do.
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
