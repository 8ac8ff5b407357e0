internal import ZooKeeperTransport

/// What went wrong with a request, a session or an argument.
public struct ZooKeeperError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        enum Kind: Hashable {
            case noNode, nodeExists, badVersion, notEmpty, noChildrenForEphemerals, noAuth, invalidACL
            case authenticationFailed, quotaExceeded, unimplemented, throttled
            case connectionLoss, operationTimeout, sessionExpired, sessionMoved, clientStopped
            case invalidPath, invalidConfiguration, invalidArgument, dataTooLarge, transactionFailed, noWatch
            case server
        }

        let kind: Kind

        /// No znode stands at the path.
        public static let noNode = Code(kind: .noNode)
        /// A znode stands at the path already.
        public static let nodeExists = Code(kind: .nodeExists)
        /// The znode's version is not the one that was asked for.
        public static let badVersion = Code(kind: .badVersion)
        /// The znode has children and cannot be deleted.
        public static let notEmpty = Code(kind: .notEmpty)
        /// Ephemeral znodes have no children.
        public static let noChildrenForEphemerals = Code(kind: .noChildrenForEphemerals)
        /// The session's identities lack the right.
        public static let noAuth = Code(kind: .noAuth)
        /// The access control list is empty or malformed.
        public static let invalidACL = Code(kind: .invalidACL)
        /// The server refused a credential; the session is over.
        public static let authenticationFailed = Code(kind: .authenticationFailed)
        /// A quota would be exceeded.
        public static let quotaExceeded = Code(kind: .quotaExceeded)
        /// The server does not know the operation or has it switched off.
        public static let unimplemented = Code(kind: .unimplemented)
        /// The server is overloaded and did not execute the request.
        public static let throttled = Code(kind: .throttled)
        /// The connection was lost before the answer came.
        public static let connectionLoss = Code(kind: .connectionLoss)
        /// No answer came in time.
        public static let operationTimeout = Code(kind: .operationTimeout)
        /// The session has ended at the server.
        public static let sessionExpired = Code(kind: .sessionExpired)
        /// The session has moved to another connection.
        public static let sessionMoved = Code(kind: .sessionMoved)
        /// The client has stopped.
        public static let clientStopped = Code(kind: .clientStopped)
        /// A path that no znode can have.
        public static let invalidPath = Code(kind: .invalidPath)
        /// A setting that cannot be.
        public static let invalidConfiguration = Code(kind: .invalidConfiguration)
        /// An argument that cannot be.
        public static let invalidArgument = Code(kind: .invalidArgument)
        /// The request is too large; nothing was sent.
        ///
        /// It is over ``ZooKeeperClientConfiguration/maximumPacketSize``, or servers have closed three connections in
        /// a row on requests of this size, so that their `jute.maxbuffer` is probably smaller.
        public static let dataTooLarge = Code(kind: .dataTooLarge)
        /// An operation of a transaction was not tried, because another one failed.
        public static let transactionFailed = Code(kind: .transactionFailed)
        /// No such watch is set.
        public static let noWatch = Code(kind: .noWatch)
        /// The server answered with another code; see ``ZooKeeperError/serverCode``.
        public static let server = Code(kind: .server)

        /// The code's name.
        public var description: String { "\(kind)" }
    }

    /// What kind of error it is.
    public var code: Code
    /// The path that the request was about.
    public var path: String?
    /// What was wrong and what would be right, where the code alone does not tell.
    public var message: String?
    /// Which operation of a transaction failed, from 0.
    public var failedOperation: Int?
    /// The code as the C library gave it; `nil` when the error arose in this package.
    public var serverCode: Int32?
    /// Whether the request may have been executed all the same.
    ///
    /// `false` means that it was not. Look before repeating a request whose outcome is unknown.
    public var isOutcomeUnknown: Bool
    /// Whether a watch was refused because the session has no room for it; the same request without it may succeed.
    package var isWatchRefusal = false

    /// Makes an error.
    public init(
        _ code: Code,
        path: String? = nil,
        message: String? = nil,
        failedOperation: Int? = nil,
        serverCode: Int32? = nil,
        isOutcomeUnknown: Bool = false
    ) {
        self.code = code
        self.path = path
        self.message = message
        self.failedOperation = failedOperation
        self.serverCode = serverCode
        self.isOutcomeUnknown = isOutcomeUnknown
    }

    /// The error in one line.
    public var description: String {
        var text = "\(code)"
        if let path { text += " at \"\(path)\"" }
        if let failedOperation { text += " (operation \(failedOperation) of the transaction)" }
        if let message { text += ": \(message)" }
        if code == .server, let serverCode { text += " [\(serverCode)]" }
        if isOutcomeUnknown { text += "; it may have happened all the same" }
        return EscapedText.escaped(text)
    }
}

extension ZooKeeperError {
    /// Classifies the code of a request that was handed to the transport.
    ///
    /// Lost, timed out, moved, closing and inconsistent all mean that the outcome is unknown, and so does every code
    /// that is not known to be a refusal.
    init(replyCode: ReplyCode, path: String?) {
        let code: Code
        var unknown = false
        switch replyCode {
        case .noNode: code = .noNode
        case .nodeExists: code = .nodeExists
        case .badVersion: code = .badVersion
        case .notEmpty: code = .notEmpty
        case .noChildrenForEphemerals: code = .noChildrenForEphemerals
        case .noAuth: code = .noAuth
        case .invalidACL: code = .invalidACL
        case .authenticationFailed, .invalidCallback: code = .authenticationFailed
        case .quotaExceeded: code = .quotaExceeded
        case .throttled: code = .throttled
        case .unimplemented: code = .unimplemented
        case .badArguments: code = .invalidArgument
        case .noWatch: code = .noWatch
        case .connectionLoss, .runtimeInconsistency, .closing, .invalidState, .marshallingError:
            (code, unknown) = (.connectionLoss, true)
        case .operationTimeout: (code, unknown) = (.operationTimeout, true)
        case .sessionMoved: (code, unknown) = (.sessionMoved, true)
        case .sessionExpired: (code, unknown) = (.sessionExpired, true)
        case .newConfigurationWithoutQuorum, .reconfigurationInProgress, .reconfigurationDisabled, .notReadOnly,
            .ephemeralOnLocalSession, .saslRequired:
            code = .server
        default: (code, unknown) = (.server, true)
        }
        self.init(code, path: path, serverCode: replyCode.rawValue, isOutcomeUnknown: unknown)
    }
}
