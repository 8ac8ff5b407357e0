extension ZooKeeperError {
    /// Whether the request failed because of the connection, the session or the load of the server, and not because of
    /// itself.
    ///
    /// The same request may succeed after a pause, on another connection or in the next session.
    package var isTransient: Bool {
        switch code {
        case .connectionLoss, .operationTimeout, .sessionExpired, .sessionMoved, .throttled: true
        default: false
        }
    }

    /// Whether the same request may succeed in the same session.
    package var isTransientInSession: Bool { isTransient && code != .sessionExpired }

    /// Whether the answer of the server contains information about the znode.
    package var isAboutZNode: Bool { !isTransient && code != .clientStopped }
}
