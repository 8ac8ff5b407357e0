public import ZooKeeper

/// What went wrong with an election, a term or a transfer.
///
/// Errors of the ensemble itself, such as `.noAuth`, come as `ZooKeeperError`.
public struct LeadershipError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable {
            case invalidArgument, notLeading, lost, unknownParticipant, transferRefused, timedOut, stopped
        }

        let kind: Kind

        /// An argument that cannot be.
        public static let invalidArgument = Code(kind: .invalidArgument)
        /// This participant does not lead, or its term is ending already.
        public static let notLeading = Code(kind: .notLeading)
        /// The term is over against its leader's will; see ``LeadershipError/reason``.
        public static let lost = Code(kind: .lost)
        /// Nobody with this id waits in the queue.
        public static let unknownParticipant = Code(kind: .unknownParticipant)
        /// The participant did not take the place that it was offered; the leader still leads.
        public static let transferRefused = Code(kind: .transferRefused)
        /// The participant did not come in time, and will not come any more; the leader still leads.
        public static let timedOut = Code(kind: .timedOut)
        /// `run()` has ended, so that this participant will never lead again.
        public static let stopped = Code(kind: .stopped)

        /// The code's name.
        public var description: String { "\(kind)" }
    }

    /// What kind of error it is.
    public var code: Code
    /// The election's path.
    public var path: String
    /// Why the term was lost, with `.lost`.
    public var reason: LossReason?
    /// What was wrong and what would be right, where the code alone does not tell.
    public var message: String?

    /// Makes an error.
    public init(_ code: Code, path: String, reason: LossReason? = nil, message: String? = nil) {
        self.code = code
        self.path = path
        self.reason = reason
        self.message = message
    }

    /// The error in one line.
    public var description: String { errorText(code, at: path, detail: reason, message: message) }
}
