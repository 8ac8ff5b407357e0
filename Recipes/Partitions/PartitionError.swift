/// What kept a node out of its group, or an operator from changing one.
///
/// Errors of the ensemble itself, such as `.noAuth`, come as `ZooKeeperError`; that another node has the same name comes as
/// ``GroupError`` with code `.duplicate`.
public struct PartitionError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable { case invalidArgument, noGroup, stopped }

        let kind: Kind

        /// An argument that cannot be.
        public static let invalidArgument = Code(kind: .invalidArgument)
        /// There is no group at the path.
        public static let noGroup = Code(kind: .noGroup)
        /// `run()` has ended.
        public static let stopped = Code(kind: .stopped)

        /// The code's name.
        public var description: String { "\(kind)" }
    }

    /// What kind of error it is.
    public var code: Code
    /// The group's path.
    public var path: String
    /// What was wrong and what would be right, where the code alone does not tell.
    public var message: String?

    /// Makes an error.
    public init(_ code: Code, path: String, message: String? = nil) {
        self.code = code
        self.path = path
        self.message = message
    }

    /// The error in one line.
    public var description: String { errorText(code, at: path, message: message) }
}
