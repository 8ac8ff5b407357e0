package import ZooKeeper

// What goes into the machine, and what comes out.
extension ContenderStateMachine {
    /// The contender's own znode.
    package struct Own: Sendable, Hashable {
        package var name: ContenderName
        package var czxid: ZXID

        package init(name: ContenderName, czxid: ZXID) {
            self.name = name
            self.czxid = czxid
        }
    }

    /// One transaction, which replaces the own znode by one beside the holder's.
    package struct Move: Sendable, Hashable {
        package var from: String
        package var to: String
        /// Whose place it is: it must stand.
        package var holder: String
        /// The offer, which is used up: it must stand.
        package var offer: String

        package init(from: String, to: String, holder: String, offer: String) {
            self.from = from
            self.to = to
            self.holder = holder
            self.offer = offer
        }
    }

    /// What to do about own znodes at the end.
    package enum CleanUpKind: Sendable, Hashable {
        /// Delete the one znode there is.
        case node(String)
        /// Delete all with the own prefix: there may be one that nobody has seen.
        case prefix(String)
    }

    /// How the attempt ended.
    package enum Outcome: Sendable, Hashable {
        case granted(Own)
        /// Somebody is in front, and the contender was not to wait.
        case notAvailable
        case timedOut
        case cancelled
        /// The server's numbers are near their end.
        case numbersExhausted
        case failed(ZooKeeperError)
    }

    package enum Action: Sendable, Hashable {
        /// Wait for a connected session; `isRetry` after a failure: pause before.
        case awaitSession(isRetry: Bool)
        /// List the queue without joining it.
        case look
        /// Delete what is to be discarded, create the own znode and list the queue, in one flight.
        case join(base: String, discarding: [String])
        case createParents
        /// Catch up with the leader and list the queue: the own znode may or may not stand.
        case find
        /// Read the stats of znodes with the own prefix.
        case inspect([String])
        /// Delete what is to be discarded and list the queue, in one flight.
        case list(own: String, discarding: [String])
        /// Read and watch the predecessor, and the own znode as well.
        case watch(String, own: String)
        /// List and watch the directory, for a predecessor that may not be read.
        case watchDirectory(String)
        /// Take the place that the holder offers: if the offer still stands, replace the own znode by another one.
        ///
        /// Not answered: the own znode's end tells, and everything else goes on meanwhile.
        case move(Move)
        /// Hold the own znode and say whether it is valid.
        case hold(Own)
        /// Prove the session by a write that checks the own znode.
        case prove(Own)
        /// Wait a part of the session timeout, so that there is activity old enough to count.
        case pause
        case finish(Outcome, cleanUp: CleanUpKind?)
    }

    package enum Input: Sendable {
        case start
        /// A session is connected; the uuid is fresh, for the case that it is a new session.
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
        /// Its data was written: watch again.
        case changed
        /// It is gone, or the watch is.
        case gone
        case sessionEnded
    }
}
