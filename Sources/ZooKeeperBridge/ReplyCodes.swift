internal import ZooKeeperTransport

extension ReplyCode {
    /// Whether a transaction that was sent was executed or refused by a server, as opposed to something that happened on
    /// the way.
    ///
    /// The library refuses ill-formed requests with ``badArguments`` as well, but then it never calls back.
    var isServerVerdict: Bool {
        switch self {
        case .badArguments: true
        case .sessionExpired, .authenticationFailed, .closing, .sessionMoved: false
        default: self == .ok || rawValue <= Self.apiError.rawValue
        }
    }
}
