internal import ZooKeeperTransport

/// An error of a request, a session or an argument.
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

        /// The znode does not exist.
        public static let noNode = Code(kind: .noNode)
        /// The znode exists already.
        public static let nodeExists = Code(kind: .nodeExists)
        /// The version of the znode differs from the requested one.
        public static let badVersion = Code(kind: .badVersion)
        /// The znode has children and cannot be deleted.
        public static let notEmpty = Code(kind: .notEmpty)
        /// The parent is an ephemeral znode, which cannot have children.
        public static let noChildrenForEphemerals = Code(kind: .noChildrenForEphemerals)
        /// The identities of the session do not have the required permission.
        public static let noAuth = Code(kind: .noAuth)
        /// The access control list is empty or malformed.
        public static let invalidACL = Code(kind: .invalidACL)
        /// The server refused a credential; the session has ended.
        public static let authenticationFailed = Code(kind: .authenticationFailed)
        /// A quota would be exceeded.
        public static let quotaExceeded = Code(kind: .quotaExceeded)
        /// The server does not support the operation, or the operation is disabled.
        public static let unimplemented = Code(kind: .unimplemented)
        /// The server is overloaded and did not execute the request.
        public static let throttled = Code(kind: .throttled)
        /// The connection was lost before the answer was received.
        public static let connectionLoss = Code(kind: .connectionLoss)
        /// No answer was received in time.
        public static let operationTimeout = Code(kind: .operationTimeout)
        /// The session has expired at the server.
        public static let sessionExpired = Code(kind: .sessionExpired)
        /// The session has moved to another connection.
        public static let sessionMoved = Code(kind: .sessionMoved)
        /// The client has stopped.
        public static let clientStopped = Code(kind: .clientStopped)
        /// The path is not valid for a znode.
        public static let invalidPath = Code(kind: .invalidPath)
        /// A setting is invalid.
        public static let invalidConfiguration = Code(kind: .invalidConfiguration)
        /// An argument is invalid.
        public static let invalidArgument = Code(kind: .invalidArgument)
        /// The request is too large; it was not sent.
        ///
        /// It exceeds ``ZooKeeperClientConfiguration/maximumPacketSize``. Or servers have closed three connections in a
        /// row after requests of this size, so that their `jute.maxbuffer` is probably smaller.
        public static let dataTooLarge = Code(kind: .dataTooLarge)
        /// An operation of a transaction was not executed because another operation failed.
        public static let transactionFailed = Code(kind: .transactionFailed)
        /// The watch is not set on the server.
        public static let noWatch = Code(kind: .noWatch)
        /// The server answered with a code that has no case here; see ``ZooKeeperError/serverCode``.
        public static let server = Code(kind: .server)

        /// The name of the code.
        public var description: String { "\(kind)" }
    }

    /// The kind of the error.
    public var code: Code
    /// The path that the request applied to.
    public var path: String?
    /// The reason and the remedy, if the code alone does not explain the error.
    public var message: String?
    /// The index of the operation of a transaction that failed, starting at 0.
    public var failedOperation: Int?
    /// The code reported by the C library; `nil` if the error originates in this package.
    public var serverCode: Int32?
    /// Whether the request may have been executed although it failed.
    ///
    /// `false` means that it was not executed. Before repeating a request whose outcome is unknown, check whether it
    /// was executed.
    public var isOutcomeUnknown: Bool
    /// Whether a watch was refused because the session has no room for it; the same request without the watch may
    /// succeed.
    package var isWatchRefusal = false

    /// Creates an error.
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
    /// Creates the error for the code of a request that was passed to the transport.
    ///
    /// The outcome is unknown after a lost connection, a timeout, a moved session, a close and an inconsistency, and
    /// after every code that is not known to be a refusal.
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
