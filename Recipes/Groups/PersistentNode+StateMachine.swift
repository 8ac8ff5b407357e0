internal import ZooKeeper

/// Decides what a persistent node does after each read of its path.
///
/// Each read follows an operation in the same round trip. So only one operation is in progress at a time, and the node
/// sees what the operation has done instead of guessing it.
///
/// A znode is the node's own if this node has created it. It is not enough that it belongs to the client's session,
/// because other parts of the program use the same session.
struct PersistentNodeStateMachine: Sendable {
    /// The result of a read.
    enum Sight: Sendable {
        case absent
        case present(ExistingZNode)
        /// The read failed: the connection was lost, or the server refuses the read.
        case failed(ZooKeeperError)
    }

    /// The result of the operation before a read.
    enum Outcome: Sendable {
        /// There was no operation, or the read shows everything that matters.
        case none
        /// The znode was created by this transaction; `nil` if the answer does not contain the transaction.
        case created(ZXID?)
        /// The answer was lost with its connection.
        case lost
        /// The ensemble refused the operation, and would refuse it again.
        case refused(ZooKeeperError)
    }

    /// The next step.
    enum Step: Sendable, Equatable {
        /// Create the znode, then read it.
        case create
        /// Delete an earlier session's znode with this version and create a new one, in one transaction, then read it.
        case replace(version: Int32)
        /// Write the intended data, then read the znode.
        case write(version: Int32)
        /// Wait until something happens.
        case rest
        /// Read again after a pause.
        case pause
        /// Read again in the current session, as soon as there is a connection.
        case look

        var mayCreate: Bool {
            switch self {
            case .create, .replace: true
            case .write, .rest, .pause, .look: false
            }
        }
    }

    let session: SessionID
    /// Earlier sessions of the same client, which have ended.
    ///
    /// A server may still show their znodes for a moment.
    let earlierSessions: Set<SessionID>
    /// Whether a znode of another client's session was created by a previous process of the same owner.
    let isOwn: @Sendable (ExistingZNode) -> Bool
    /// The transaction that last created the node's znode in this session.
    private(set) var creation: ZXID?
    /// Whether the answer to a creation was lost, and no read has shown its result since.
    private(set) var isCreationUncertain = false
    /// The data of a write that was lost with its connection; the next write waits.
    private var lostData: [UInt8]?
    /// The last refusal, and the data that was refused.
    private var refusal: (error: ZooKeeperError, data: [UInt8])?

    init(
        session: SessionID, earlierSessions: Set<SessionID>, isOwn: @escaping @Sendable (ExistingZNode) -> Bool
    ) {
        self.session = session
        self.earlierSessions = earlierSessions
        self.isOwn = isOwn
    }

    /// Decides the next step after a read.
    ///
    /// - Parameters:
    ///   - sight: The result of the read.
    ///   - step: The operation before the read.
    ///   - outcome: The result of that operation.
    ///   - data: The intended data of the znode.
    /// - Returns: The next step and the state to report, or `nil` if the state does not change.
    mutating func next(
        after sight: Sight, step: Step = .look, outcome: Outcome = .none, data: [UInt8]
    ) -> (step: Step, state: PersistentNodeState?) {
        if let refusal, refusal.data != data { self.refusal = nil }
        if lostData != data { lostData = nil }
        record(outcome, of: step, data: data)
        switch sight {
        case .failed(let error):
            return error.isAboutZNode ? (.pause, .refused(error)) : (.look, nil)
        case .absent:
            return pause(after: outcome, otherwise: .absent) ?? (.create, refusal == nil ? .absent : nil)
        case .present(let znode):
            return next(after: znode, outcome: outcome, data: data)
        }
    }

    private mutating func record(_ outcome: Outcome, of step: Step, data: [UInt8]) {
        switch outcome {
        case .none: break
        case .created(let transaction):
            creation = transaction ?? creation
            isCreationUncertain = transaction == nil
        case .lost:
            if step.mayCreate { isCreationUncertain = true }
            lostData = data
        case .refused(let error): refusal = (error, data)
        }
    }

    /// Returns the pause after a refusal or a lost write, or `nil` if none is due.
    private mutating func pause(
        after outcome: Outcome, otherwise state: PersistentNodeState
    ) -> (step: Step, state: PersistentNodeState?)? {
        if case .refused(let error) = outcome { return (.pause, .refused(error)) }
        guard lostData != nil else { return nil }
        lostData = nil
        return (.pause, refusal == nil ? state : nil)
    }

    private mutating func next(
        after znode: ExistingZNode, outcome: Outcome, data: [UInt8]
    ) -> (step: Step, state: PersistentNodeState?) {
        guard isCreated(znode) else {
            guard isEarlier(znode) else {
                refusal = nil
                return (.rest, .occupied(znode))
            }
            return pause(after: outcome, otherwise: .absent)
                ?? (.replace(version: znode.stat.dataVersion), refusal == nil ? .absent : nil)
        }
        guard znode.data != data else {
            (refusal, lostData) = (nil, nil)
            return (.rest, .present(znode))
        }
        return pause(after: outcome, otherwise: .present(znode))
            ?? (.write(version: znode.stat.dataVersion), refusal == nil ? .present(znode) : nil)
    }

    /// Whether this node created a znode.
    private mutating func isCreated(_ znode: ExistingZNode) -> Bool {
        guard znode.stat.ephemeralOwner == session else { return false }
        if znode.stat.czxid == creation { return true }
        guard isCreationUncertain else { return false }
        (creation, isCreationUncertain) = (znode.stat.czxid, false)
        return true
    }

    /// Whether a znode belongs to an earlier session or a previous process of this owner, and will be removed by the
    /// server.
    private func isEarlier(_ znode: ExistingZNode) -> Bool {
        guard let owner = znode.stat.ephemeralOwner, owner != session else { return false }
        return earlierSessions.contains(owner) || isOwn(znode)
    }
}
