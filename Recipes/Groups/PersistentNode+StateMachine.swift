internal import ZooKeeper

/// Decides what a persistent node does about what was seen at its path.
///
/// Each look follows the operation before it in the same flight, so that one thing at a time is under way, and what the
/// operation has really done is seen rather than guessed.
struct PersistentNodeStateMachine: Sendable {
    /// What a look has shown.
    enum Sight: Sendable {
        case absent
        case present(StandingZNode)
        /// Nothing was seen: the connection was lost, or the server does not tell.
        case failed(ZooKeeperError)
    }

    /// What to do next.
    enum Step: Sendable, Equatable {
        /// Create it, then look.
        case create
        /// Delete an earlier session's of this version and create the own one, at one instant, then look.
        case replace(version: Int32)
        /// Write the data that it is to hold, then look.
        case write(version: Int32)
        /// Nothing, until something happens.
        case rest
        /// Look again after a pause.
        case pause
        /// Look again in the present session, as soon as there is a connection.
        case look
    }

    let session: SessionID
    /// Earlier sessions of the same client, of which some may still own the znode.
    let earlierSessions: Set<SessionID>
    /// Whether a znode of another client's session is an earlier life of the same owner.
    let isOwn: @Sendable (StandingZNode) -> Bool
    /// What somebody else wrote was overwritten this often in a row.
    private var contentions = 0
    private static let patience = 3

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
    ///   - data: What the znode is to hold.
    ///   - refusal: Why the operation before the look failed, if it did for good.
    mutating func next(
        after sight: Sight, data: [UInt8], refusal: ZooKeeperError?
    ) -> (step: Step, state: PersistentNodeState?) {
        switch sight {
        case .failed(let error):
            return error.isAboutZNode ? (.pause, .refused(error)) : (.look, nil)
        case .absent:
            contentions = 0
            guard let refusal else { return (.create, .absent) }
            return (.pause, .refused(refusal))
        case .present(let znode):
            return next(after: znode, data: data, refusal: refusal)
        }
    }

    private mutating func next(
        after znode: StandingZNode, data: [UInt8], refusal: ZooKeeperError?
    ) -> (step: Step, state: PersistentNodeState?) {
        guard znode.stat.ephemeralOwner == session else {
            guard isEarlier(znode) else { return (.rest, .occupied(znode)) }
            if let refusal { return (.pause, .refused(refusal)) }
            return (.replace(version: znode.stat.dataVersion), .absent)
        }
        guard znode.data != data else {
            contentions = 0
            return (.rest, .standing(znode))
        }
        if refusal != nil { return (.pause, .standing(znode)) }
        contentions += 1
        // Somebody writes it again and again: not as fast as the network goes.
        if contentions > Self.patience {
            contentions = 0
            return (.pause, .standing(znode))
        }
        return (.write(version: znode.stat.dataVersion), .standing(znode))
    }

    /// Whether a znode is the own one of an earlier session, which would vanish some time.
    private func isEarlier(_ znode: StandingZNode) -> Bool {
        guard let owner = znode.stat.ephemeralOwner else { return false }
        return earlierSessions.contains(owner) || isOwn(znode)
    }
}
