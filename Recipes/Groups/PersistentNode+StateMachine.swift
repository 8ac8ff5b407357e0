internal import ZooKeeper

/// Decides what a persistent node does about what was seen at its path.
///
/// Each look follows the operation before it in the same round trip, so that one thing at a time is in progress, and what the
/// operation has really done is seen rather than guessed.
///
/// A znode is the node's own if this node has created it. That it belongs to the client's session is not enough: other parts
/// of the program use the same session.
struct PersistentNodeStateMachine: Sendable {
    /// What a look has shown.
    enum Sight: Sendable {
        case absent
        case present(StandingZNode)
        /// Nothing was seen: the connection was lost, or the server refuses the read.
        case failed(ZooKeeperError)
    }

    /// The result of the operation before a look.
    enum Outcome: Sendable {
        /// There was none, or the look shows all that matters.
        case none
        /// The znode was created, by this transaction; `nil` if the answer does not carry it.
        case created(ZXID?)
        /// The answer was lost with its connection.
        case lost
        /// The ensemble refused it, and will do so again.
        case refused(ZooKeeperError)
    }

    /// What to do next.
    enum Step: Sendable, Equatable {
        /// Create it, then look.
        case create
        /// Delete an earlier session's znode of this version and create the own one, in one transaction, then look.
        case replace(version: Int32)
        /// Write the data that it is to hold, then look.
        case write(version: Int32)
        /// Nothing, until something happens.
        case rest
        /// Look again after a pause.
        case pause
        /// Look again in the current session, as soon as there is a connection.
        case look

        var mayCreate: Bool {
            switch self {
            case .create, .replace: true
            case .write, .rest, .pause, .look: false
            }
        }
    }

    let session: SessionID
    /// Earlier sessions of the same client: they have ended, and what a server still shows of them is about to vanish.
    let earlierSessions: Set<SessionID>
    /// Whether a znode of another client's session is an earlier life of the same owner.
    let isOwn: @Sendable (StandingZNode) -> Bool
    /// The transaction of the own znode's latest creation in this session.
    private(set) var creation: ZXID?
    /// Whether the answer to a creation was lost, and nothing has shown its outcome since.
    private(set) var isCreationUncertain = false
    /// A write was lost with its connection: the next one waits.
    private var lostData: [UInt8]?
    /// The latest refusal, and the data that it was about.
    private var refusal: (error: ZooKeeperError, data: [UInt8])?

    init(
        session: SessionID, earlierSessions: Set<SessionID>, isOwn: @escaping @Sendable (StandingZNode) -> Bool
    ) {
        self.session = session
        self.earlierSessions = earlierSessions
        self.isOwn = isOwn
    }

    /// Decides after a look.
    ///
    /// - Parameters:
    ///   - step: The operation before the look.
    ///   - outcome: The result of that operation.
    ///   - data: The data that the znode is to hold.
    /// - Returns: The next step, and the state to report; `nil` leaves the state as it is.
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

    /// The pause that is due after a refusal or a lost write, if one is.
    private mutating func pause(
        after outcome: Outcome, otherwise state: PersistentNodeState
    ) -> (step: Step, state: PersistentNodeState?)? {
        if case .refused(let error) = outcome { return (.pause, .refused(error)) }
        guard lostData != nil else { return nil }
        lostData = nil
        return (.pause, refusal == nil ? state : nil)
    }

    private mutating func next(
        after znode: StandingZNode, outcome: Outcome, data: [UInt8]
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
            return (.rest, .standing(znode))
        }
        return pause(after: outcome, otherwise: .standing(znode))
            ?? (.write(version: znode.stat.dataVersion), refusal == nil ? .standing(znode) : nil)
    }

    /// Whether this node has created a znode.
    private mutating func isCreated(_ znode: StandingZNode) -> Bool {
        guard znode.stat.ephemeralOwner == session else { return false }
        if znode.stat.czxid == creation { return true }
        guard isCreationUncertain else { return false }
        (creation, isCreationUncertain) = (znode.stat.czxid, false)
        return true
    }

    /// Whether a znode is the own one of an earlier session or process, which would vanish some time.
    private func isEarlier(_ znode: StandingZNode) -> Bool {
        guard let owner = znode.stat.ephemeralOwner, owner != session else { return false }
        return earlierSessions.contains(owner) || isOwn(znode)
    }
}
