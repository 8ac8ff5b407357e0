/// The outcome of a request, reported by a server, or by the transport if no server answered.
///
/// The numbers are those of ZooKeeper.
package struct ReplyCode: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    package let rawValue: Int32

    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let ok: ReplyCode = 0

    // Of the transport: it is unknown whether the request was executed.
    package static let runtimeInconsistency: ReplyCode = -2
    package static let connectionLoss: ReplyCode = -4
    package static let marshallingError: ReplyCode = -5
    package static let operationTimeout: ReplyCode = -7
    package static let invalidState: ReplyCode = -9
    package static let closing: ReplyCode = -116

    // Of servers, or of the transport for a request that it does not send.
    package static let unimplemented: ReplyCode = -6
    package static let badArguments: ReplyCode = -8

    // Of servers.
    package static let newConfigurationWithoutQuorum: ReplyCode = -13
    package static let reconfigurationInProgress: ReplyCode = -14
    /// Codes of servers are below this one; codes above it are those of the library.
    package static let apiError: ReplyCode = -100
    package static let noNode: ReplyCode = -101
    package static let noAuth: ReplyCode = -102
    package static let badVersion: ReplyCode = -103
    package static let noChildrenForEphemerals: ReplyCode = -108
    package static let nodeExists: ReplyCode = -110
    package static let notEmpty: ReplyCode = -111
    package static let sessionExpired: ReplyCode = -112
    package static let invalidCallback: ReplyCode = -113
    package static let invalidACL: ReplyCode = -114
    package static let authenticationFailed: ReplyCode = -115
    package static let sessionMoved: ReplyCode = -118
    package static let notReadOnly: ReplyCode = -119
    package static let ephemeralOnLocalSession: ReplyCode = -120
    package static let noWatch: ReplyCode = -121
    package static let reconfigurationDisabled: ReplyCode = -123
    package static let saslRequired: ReplyCode = -124
    package static let quotaExceeded: ReplyCode = -125
    package static let throttled: ReplyCode = -127

    /// Whether the code is an answer from a server that serves the session.
    package var isAnswer: Bool {
        switch self {
        case .sessionExpired, .invalidCallback, .authenticationFailed, .closing, .sessionMoved: false
        default: self == .ok || rawValue < Self.apiError.rawValue
        }
    }

    package var description: String { "\(rawValue)" }
}

extension ReplyCode: ExpressibleByIntegerLiteral {
    package init(integerLiteral value: Int32) { self.init(rawValue: value) }
}
