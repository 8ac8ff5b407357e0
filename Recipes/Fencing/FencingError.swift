/// The reason why a fenced write was not executed.
public struct FencingError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The code of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable { case staleToken, unreadable, outcomeUnknown, fileSystem, invalidIdentifier }

        let kind: Kind

        /// A higher token has written: the resource has been granted to another participant since.
        public static let staleToken = Code(kind: .staleToken)
        /// The existing contents were not written by a fenced writer.
        public static let unreadable = Code(kind: .unreadable)
        /// The answer to a write was lost, and the current contents do not show whether it was executed.
        public static let outcomeUnknown = Code(kind: .outcomeUnknown)
        /// The file system has refused an operation; see ``FencingError/message``.
        public static let fileSystem = Code(kind: .fileSystem)
        /// The name of a table or column is not valid in a statement.
        public static let invalidIdentifier = Code(kind: .invalidIdentifier)

        /// The name of the code.
        public var description: String { "\(kind)" }
    }

    /// The code of the error.
    public var code: Code
    /// The path or the table that was to be written.
    public var target: String
    /// The token that was refused.
    public var token: FencingToken?
    /// The highest token that was found.
    public var highest: FencingToken?
    /// Details, if the code alone is not sufficient.
    public var message: String?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: The code.
    ///   - target: The path or the table that was to be written.
    ///   - token: The token that was refused. Default: `nil`.
    ///   - highest: The highest token that was found. Default: `nil`.
    ///   - message: Details, if the code alone is not sufficient. Default: `nil`.
    public init(
        _ code: Code, target: String, token: FencingToken? = nil, highest: FencingToken? = nil,
        message: String? = nil
    ) {
        self.code = code
        self.target = target
        self.token = token
        self.highest = highest
        self.message = message
    }

    /// The error in one line.
    public var description: String {
        let tokens = [token.map { "token \($0)" }, highest.map { "highest \($0)" }].compactMap(\.self)
        let detail = tokens.isEmpty ? nil : tokens.joined(separator: ", ")
        return errorText(code, at: target, detail: detail, message: message)
    }
}
