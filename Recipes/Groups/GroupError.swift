/// What kept a member out of its group.
///
/// Errors of the ensemble itself, such as `.noAuth`, come as `ZooKeeperError`.
public struct GroupError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable { case duplicate, stopped, invalidArgument }

        let kind: Kind

        /// Somebody else stands in the group under the same id; see ``GroupError/occupant``.
        public static let duplicate = Code(kind: .duplicate)
        /// The node's or the membership's `run()` has ended.
        public static let stopped = Code(kind: .stopped)
        /// An argument that cannot be.
        public static let invalidArgument = Code(kind: .invalidArgument)

        /// The code's name.
        public var description: String { "\(kind)" }
    }

    /// What kind of error it is.
    public var code: Code
    /// The znode it is about.
    public var path: String
    /// Who is in the way; `nil` for other codes.
    public var occupant: StandingZNode?
    /// What would be right, where the code alone does not tell.
    public var message: String?

    /// Makes an error.
    public init(_ code: Code, path: String, occupant: StandingZNode? = nil, message: String? = nil) {
        self.code = code
        self.path = path
        self.occupant = occupant
        self.message = message
    }

    /// The error in one line.
    public var description: String { errorText(code, at: path, detail: occupant, message: message) }
}
