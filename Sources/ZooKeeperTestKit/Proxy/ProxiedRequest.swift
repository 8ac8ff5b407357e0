/// A client's request as a ``FaultProxy`` saw it pass.
public struct ProxiedRequest: Sendable, Hashable {
    /// The number that the client gave it, unique within its connection.
    public var xid: Int32
    /// What is asked for.
    public var operation: Operation
    /// The path of its node, for the operations that have exactly one.
    public var path: String?

    /// What a request asks for, by its number in ZooKeeper's protocol.
    public struct Operation: Sendable, Hashable, RawRepresentable {
        /// The number in the protocol.
        public var rawValue: Int32

        /// Makes an operation from its number.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// Creates a node.
        public static let create = Operation(rawValue: 1)
        /// Deletes a node.
        public static let delete = Operation(rawValue: 2)
        /// Asks whether a node exists.
        public static let exists = Operation(rawValue: 3)
        /// Reads a node's data.
        public static let getData = Operation(rawValue: 4)
        /// Writes a node's data.
        public static let setData = Operation(rawValue: 5)
        /// Lists a node's children.
        public static let getChildren = Operation(rawValue: 8)
        /// Catches up with the leader.
        public static let sync = Operation(rawValue: 9)
        /// Keeps the session alive.
        public static let ping = Operation(rawValue: 11)
        /// Lists a node's children, with its metadata.
        public static let getChildrenWithStat = Operation(rawValue: 12)
        /// A transaction.
        public static let multi = Operation(rawValue: 14)
        /// Creates a node and returns its metadata.
        public static let createWithStat = Operation(rawValue: 15)
        /// Removes watches.
        public static let removeWatches = Operation(rawValue: 18)
        /// Creates a container.
        public static let createContainer = Operation(rawValue: 19)
        /// Creates a node with a time to live.
        public static let createTTL = Operation(rawValue: 21)
        /// Presents credentials.
        public static let auth = Operation(rawValue: 100)
        /// Sets watches again after a reconnect.
        public static let setWatches = Operation(rawValue: 101)
        /// Ends the session.
        public static let closeSession = Operation(rawValue: -11)
    }

    /// Whether it creates a node, of whatever kind; a transaction does not count.
    public var isCreate: Bool {
        [.create, .createWithStat, .createContainer, .createTTL].contains(self.operation)
    }

    /// Whether it lists a node's children, with or without metadata.
    public var isListing: Bool { [.getChildren, .getChildrenWithStat].contains(self.operation) }

    /// Reads a request's frame, its length already taken off.
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
