internal import ZooKeeper

// What is known of the znodes, what goes into the machine, and what comes out.
extension SubtreeStateMachine {
    /// What is followed.
    struct Scope: Sendable {
        var root: String
        /// The levels below the root; 0 is the root alone.
        var depth: Int
        /// Whether the root's own data is a part of it.
        var showsRoot: Bool
        /// Whether data is read, or names are all.
        var readsData: Bool
        /// What the watched paths may take together, in bytes, if the client has so much room for this cache.
        var watchBudget: Int
        /// What each path takes beyond its own length: the chroot, and its length on the wire.
        var pathOverhead: Int
        var readsInFlight: Int
        /// The time between two looks at what is not watched.
        var interval: Duration
        var isIncluded: @Sendable (_ path: String) -> Bool
        /// Whether the root's watch is as vital as a lock's; else the root is read at intervals if there is no room for it.
        var isRootVital = true
    }

    /// A connection of the client: its session's epoch, and its number among all connections.
    struct Connection: Sendable, Equatable {
        var epoch: Int
        var number: Int
    }

    /// What a watch has told.
    enum Notice: Sendable {
        case changed, deleted
        /// The watch is gone with its connection, the session is not.
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
        /// The connection it is asked on.
        var connection: Int

        var part: Part { question == .children ? .children : .data }
    }

    enum Part: Sendable { case data, children }

    /// A watch, by the read that set it.
    struct Watch: Sendable, Hashable {
        var number: Int
        var key: ZNodeKey
        var part: Part
    }

    enum Answer: Sendable {
        case data([UInt8], ZNodeStat)
        case children([String], ZNodeStat)
        /// The znode stands; that was all that was asked.
        case exists
        case missing
        case failed(ZooKeeperError)
    }

    /// What to do now, in any order.
    struct Actions: Sendable, Equatable {
        var catchesUp = false
        var reads: [Read] = []
        var givenUp: [Watch] = []
    }

    struct PartState: Sendable {
        var watch: Int?
        var reading: Int?
        var isQueued = false
        /// Due since the notice of this number.
        var ticket: Int?
        /// The client had no room for its watch when it was last read.
        var isWatchRefused = false
    }

    struct Node: Sendable {
        var depth: Int
        var data = PartState()
        var children = PartState()
        /// As listed, and not removed since.
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
    /// A read of data or children sets its watch only when the znode stands, a look for its existence in any case.
    func setsWatch(of read: SubtreeStateMachine.Read) -> Bool {
        switch self {
        case .data, .children, .exists: true
        case .missing: read.question == .existence
        case .failed: false
        }
    }
}
