package import ZooKeeper

// The inputs and the actions of the state machine.
extension ContenderStateMachine {
    /// The participant's own znode.
    package struct Own: Sendable, Hashable {
        package var name: ContenderName
        package var czxid: ZXID

        package init(name: ContenderName, czxid: ZXID) {
            self.name = name
            self.czxid = czxid
        }
    }

    /// A transaction that replaces the participant's znode by one with the holder's sequence number.
    package struct Move: Sendable, Hashable {
        package var from: String
        package var to: String
        /// The name of the holder's znode, which must exist.
        package var holder: String
        /// The path of the offer, which must exist and is deleted.
        package var offer: String

        package init(from: String, to: String, holder: String, offer: String) {
            self.from = from
            self.to = to
            self.holder = holder
            self.offer = offer
        }
    }

    /// Which of the participant's znodes to delete at the end.
    package enum CleanUpKind: Sendable, Hashable {
        /// Delete the only znode.
        case node(String)
        /// Delete all znodes with the participant's prefix, because there may be one that was never observed.
        case prefix(String)
    }

    /// The outcome of the attempt.
    package enum Outcome: Sendable, Hashable {
        case granted(Own)
        /// A participant is ahead, and the attempt must not wait.
        case notAvailable
        case timedOut
        case cancelled
        /// The server's sequence numbers are close to their end.
        case numbersExhausted
        case failed(ZooKeeperError)
    }

    package enum Action: Sendable, Hashable {
        /// Wait for a connected session; if `isRetry` is true, pause first.
        case awaitSession(isRetry: Bool)
        /// List the queue without joining it.
        case look
        /// Delete the znodes to discard, create the participant's znode and list the queue, in one round trip.
        case join(base: String, discarding: [String])
        case createParents
        /// List the queue after a barrier, to find out whether the participant's znode exists.
        case find
        /// Read the stats of znodes with the participant's prefix.
        case inspect([String])
        /// Delete the znodes to discard and list the queue, in one round trip.
        case list(own: String, discarding: [String])
        /// Read and watch the predecessor's znode and the participant's own znode.
        case watch(String, own: String)
        /// List and watch the directory, because the predecessor's znode cannot be read.
        case watchDirectory(String)
        /// Accept the hand-over: if the offer still exists, replace the participant's znode.
        ///
        /// This action has no answer. The deletion of the replaced znode reports success, and everything else
        /// continues.
        case move(Move)
        /// Supervise the participant's znode and report whether it is valid.
        case hold(Own)
        /// Confirm the session by a write that checks the participant's znode.
        case prove(Own)
        /// Wait for an eighth of the session timeout, so that some answered request is old enough to count as evidence.
        case pause
        case finish(Outcome, cleanUp: CleanUpKind?)
    }

    package enum Input: Sendable {
        case start
        /// A session is connected; the UUID is new, in case the session is.
        case session(epoch: Int, id: SessionID, uuid: String)
        case noSession(ZooKeeperError)
        case looked(Result<[String], ZooKeeperError>)
        case joined(Result<Own, ZooKeeperError>, Result<[String], ZooKeeperError>)
        case parentsCreated(Result<Void, ZooKeeperError>)
        case found(Result<[String], ZooKeeperError>)
        case inspected([(name: String, stat: Result<ZNodeStat, ZooKeeperError>)])
        case listed(Result<[String], ZooKeeperError>)
        case watched(Result<ZNodeStat, ZooKeeperError>)
        case predecessorEvent(PredecessorEvent)
        case held(isValid: Bool)
        case proved(Result<Void, ZooKeeperError>)
        case paused
    }

    package enum PredecessorEvent: Sendable, Hashable {
        /// The data of the predecessor's znode was written, so it must be watched again.
        case changed
        /// The predecessor's znode or the watch is gone.
        case gone
        case sessionEnded
    }
}
