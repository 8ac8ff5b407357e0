/// Why a barrier was not passed, or a shared value not read or written.
///
/// Errors of the ensemble itself, such as `.noAuth`, come as `ZooKeeperError`.
public struct CoordinationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable { case timedOut, outcomeUnknown, overflow, malformed, invalidArgument }

        let kind: Kind

        /// The time to wait ran out; nothing is left behind.
        public static let timedOut = Code(kind: .timedOut)
        /// The answer to a write was lost, and what is there now does not tell whether it was executed.
        ///
        /// ``CoordinationError/present`` is what was there afterwards.
        public static let outcomeUnknown = Code(kind: .outcomeUnknown)
        /// The counter's number would not fit its format; nothing was written.
        public static let overflow = Code(kind: .overflow)
        /// The znode does not hold a number of the counter's format.
        public static let malformed = Code(kind: .malformed)
        /// An argument that cannot be.
        public static let invalidArgument = Code(kind: .invalidArgument)

        /// The code's name.
        public var description: String { "\(kind)" }
    }

    /// What kind of error it is.
    public var code: Code
    /// The znode it is about.
    public var path: String
    /// What was read after a write whose outcome is unknown.
    public var present: VersionedValue?
    /// What would be right, where the code alone does not tell.
    public var message: String?

    /// Makes an error.
    public init(_ code: Code, path: String, present: VersionedValue? = nil, message: String? = nil) {
        self.code = code
        self.path = path
        self.present = present
        self.message = message
    }

    /// The error in one line.
    public var description: String { errorText(code, at: path, message: message) }
}
