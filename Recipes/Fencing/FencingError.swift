/// Why a fenced write did not happen.
public struct FencingError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable { case staleToken, unreadable, outcomeUnknown, fileSystem, invalidIdentifier }

        let kind: Kind

        /// Somebody with a higher token has written: the grant has been given to another since.
        public static let staleToken = Code(kind: .staleToken)
        /// What stands there was not written by a fenced writer.
        public static let unreadable = Code(kind: .unreadable)
        /// The answer to a write was lost, and what is there now does not tell whether it was executed.
        public static let outcomeUnknown = Code(kind: .outcomeUnknown)
        /// The file system has refused something; see ``FencingError/message``.
        public static let fileSystem = Code(kind: .fileSystem)
        /// A table or column has a name that is not taken into a statement.
        public static let invalidIdentifier = Code(kind: .invalidIdentifier)

        /// The code's name.
        public var description: String { "\(kind)" }
    }

    /// What kind of error it is.
    public var code: Code
    /// What was to be written to.
    public var target: String
    /// The token that came too late.
    public var token: FencingToken?
    /// The highest token that was found.
    public var highest: FencingToken?
    /// What was wrong, where the code alone does not tell.
    public var message: String?

    /// Makes an error.
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
