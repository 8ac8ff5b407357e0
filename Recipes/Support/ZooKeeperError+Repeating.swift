internal import ZooKeeper

extension ZooKeeperError {
    /// Whether nothing was answered because of the connection, the session or the server's load.
    var wasInterrupted: Bool {
        [.connectionLoss, .operationTimeout, .sessionExpired, .sessionMoved, .throttled].contains(code)
    }

    /// Whether the same request may succeed, in the same session, with another connection or a little later.
    var mayPass: Bool {
        isOutcomeUnknown || (wasInterrupted && code != .sessionExpired)
    }
}
