internal import ZooKeeper

// The state of the znodes, and the inputs and outputs of the machine.
extension SubtreeStateMachine {
    /// The znodes to follow.
    struct Scope: Sendable {
        var root: String
        /// The number of levels below the root; 0 is the root alone.
        var depth: Int
        /// Whether the root's own data is part of the content.
        var showsRoot: Bool
        /// Whether data is read, or only names.
        var readsData: Bool
        /// The budget for the watched paths, in bytes, if the client has that much room for this cache.
        var watchBudget: Int
        /// The bytes that each path takes beyond its own length: the chroot, and the length field of the protocol.
        var pathOverhead: Int
        var maximumConcurrentReads: Int
        /// The interval at which parts that are not watched are read again.
        var interval: Duration
        var isIncluded: @Sendable (_ path: String) -> Bool
        /// Whether the root's watch has the precedence of a lock's watch.
        ///
        /// Otherwise the root is read at intervals if there is no room for its watch.
        var isRootVital = true
    }

    /// A connection of the client: the epoch of its session, and its number among all connections.
    struct Connection: Sendable, Equatable {
        var epoch: Int
        var number: Int
    }

    /// The event of a watch.
    enum Notice: Sendable {
        case changed, deleted
        /// The watch is gone with its connection, but the session still exists.
        case interrupted
        case sessionEnded
    }

    /// One request.
    struct Read: Sendable, Hashable {
        enum Question: Sendable { case data, existence, children }

        var number: Int
        var key: ZNodeKey
        var question: Question
        var setsWatch: Bool
        /// The connection on which the request is sent.
        var connection: Int

        var part: Part { question == .children ? .children : .data }
    }

    enum Part: Sendable { case data, children }

    /// A watch, identified by the read that set it.
    struct Watch: Sendable, Hashable {
        var number: Int
        var key: ZNodeKey
        var part: Part
    }

    enum Answer: Sendable {
        case data([UInt8], ZNodeStat)
        case children([String], ZNodeStat)
        /// The znode exists, and only its existence was read.
        case exists
        case missing
        case failed(ZooKeeperError)
    }

    /// The actions to perform now, in any order.
    struct Actions: Sendable, Equatable {
        var catchesUp = false
        var reads: [Read] = []
        var givenUp: [Watch] = []
    }

    struct PartState: Sendable {
        var watch: Int?
        var reading: Int?
        var isQueued = false
        /// The notice since which the part is due.
        var ticket: Int?
        /// Whether the client had no room for the watch at the last read.
        var isWatchRefused = false
    }

    struct Node: Sendable {
        var depth: Int
        var data = PartState()
        var children = PartState()
        /// The children that were listed and have not been removed since.
        var names: Set<ZNodeKey> = []
        var listed: ZNodeStat?

        subscript(_ part: Part) -> PartState {
            get { part == .data ? data : children }
            set { if part == .data { data = newValue } else { children = newValue } }
        }
    }

    struct Place: Hashable, Sendable {
        var key: ZNodeKey
        var part: Part
    }
}

extension SubtreeStateMachine.Answer {
    /// Whether an answer means that the watch of its read is set.
    ///
    /// A read of data or children sets its watch only if the znode exists. A read of the existence always sets it.
    func setsWatch(of read: SubtreeStateMachine.Read) -> Bool {
        switch self {
        case .data, .children, .exists: true
        case .missing: read.question == .existence
        case .failed: false
        }
    }
}
