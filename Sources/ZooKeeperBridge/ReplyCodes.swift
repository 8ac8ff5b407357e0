import CZooKeeper

/// The C library's codes that the bridge itself gives or looks for.
enum ReplyCode {
    static let ok: Int32 = 0
    static let runtimeInconsistency = ZRUNTIMEINCONSISTENCY.rawValue
    static let connectionLoss = ZCONNECTIONLOSS.rawValue
    static let marshallingError = ZMARSHALLINGERROR.rawValue
    static let badArguments = ZBADARGUMENTS.rawValue
    static let invalidState = ZINVALIDSTATE.rawValue
    static let apiError = ZAPIERROR.rawValue
    static let sessionExpired = ZSESSIONEXPIRED.rawValue
    static let authenticationFailed = ZAUTHFAILED.rawValue
    static let closing = ZCLOSING.rawValue
    static let sessionMoved = ZSESSIONMOVED.rawValue

    /// Whether a transaction that was sent was executed or refused by a server, as opposed to something that happened on
    /// the way.
    ///
    /// The library refuses ill-formed requests with ``badArguments`` as well, but then it never calls back.
    static func isServerVerdict(_ code: Int32) -> Bool {
        switch code {
        case badArguments: true
        case sessionExpired, authenticationFailed, closing, sessionMoved: false
        default: code == ok || code <= apiError
        }
    }
}
