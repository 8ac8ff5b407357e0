/// A client's request that passed through a ``FaultProxy``.
public struct ProxiedRequest: Sendable, Hashable {
    /// The number that the client gave the request, unique within its connection.
    public var xid: Int32
    /// The operation of the request.
    public var operation: Operation
    /// The path of the znode, for operations with exactly one path.
    public var path: String?

    /// An operation, identified by its number in ZooKeeper's protocol.
    public struct Operation: Sendable, Hashable, RawRepresentable {
        /// The number in the protocol.
        public var rawValue: Int32

        /// Creates an operation from its number.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// Creates a znode.
        public static let create = Operation(rawValue: 1)
        /// Deletes a znode.
        public static let delete = Operation(rawValue: 2)
        /// Checks whether a znode exists.
        public static let exists = Operation(rawValue: 3)
        /// Reads a znode's data.
        public static let getData = Operation(rawValue: 4)
        /// Writes a znode's data.
        public static let setData = Operation(rawValue: 5)
        /// Lists a znode's children.
        public static let getChildren = Operation(rawValue: 8)
        /// Synchronizes the server with the leader.
        public static let sync = Operation(rawValue: 9)
        /// Keeps the session alive.
        public static let ping = Operation(rawValue: 11)
        /// Lists a znode's children, and returns its stat.
        public static let getChildrenWithStat = Operation(rawValue: 12)
        /// Executes a transaction.
        public static let multi = Operation(rawValue: 14)
        /// Creates a znode and returns its stat.
        public static let createWithStat = Operation(rawValue: 15)
        /// Removes watches.
        public static let removeWatches = Operation(rawValue: 18)
        /// Creates a container.
        public static let createContainer = Operation(rawValue: 19)
        /// Creates a znode with a time to live.
        public static let createTTL = Operation(rawValue: 21)
        /// Sends credentials.
        public static let auth = Operation(rawValue: 100)
        /// Sets watches again after a reconnection.
        public static let setWatches = Operation(rawValue: 101)
        /// Closes the session.
        public static let closeSession = Operation(rawValue: -11)
    }

    /// Whether the request creates a znode of any kind; a transaction does not count.
    public var isCreate: Bool {
        [.create, .createWithStat, .createContainer, .createTTL].contains(self.operation)
    }

    /// Whether the request lists a znode's children, with or without the stat.
    public var isListing: Bool { [.getChildren, .getChildrenWithStat].contains(self.operation) }

    /// Parses a request from a frame without its length.
    init?(_ frame: ArraySlice<UInt8>) {
        var reader = WireReader(frame)
        guard let xid = reader.int32(), let operation = reader.int32() else { return nil }
        self.xid = xid
        self.operation = Operation(rawValue: operation)
        let withoutPath: [Operation] = [.ping, .multi, .auth, .setWatches, .closeSession]
        if !withoutPath.contains(self.operation), let path = reader.string(), path.utf8.first == UInt8(ascii: "/") {
            self.path = path
        }
    }
}
