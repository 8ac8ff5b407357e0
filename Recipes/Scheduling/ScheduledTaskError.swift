public import ZooKeeper

/// What went wrong with a scheduled task.
///
/// Errors of the ensemble itself, such as `.noAuth`, come as `ZooKeeperError`.
public struct ScheduledTaskError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable { case invalidArgument, lost, notRunning, notAsked, noTask, tooOften }

        let kind: Kind

        /// An argument that cannot be.
        public static let invalidArgument = Code(kind: .invalidArgument)
        /// This node does not lead any more; nothing was written.
        public static let lost = Code(kind: .lost)
        /// The run has ended already.
        public static let notRunning = Code(kind: .notRunning)
        /// No operator is asked about this period.
        public static let notAsked = Code(kind: .notAsked)
        /// There is no scheduled task at the path, or it has never run.
        public static let noTask = Code(kind: .noTask)
        /// Others changed the same znode again and again.
        public static let tooOften = Code(kind: .tooOften)

        /// The code's name.
        public var description: String { "\(kind)" }
    }

    /// What kind of error it is.
    public var code: Code
    /// The task's path.
    public var path: String
    /// Why the leadership was lost, with `.lost`.
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
