extension ZooKeeperError {
    /// Whether the connection, the session or the server's load failed the request, and not the request itself.
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

    /// Whether the server's answer says something about the znode.
    package var isAboutZNode: Bool { !isTransient && code != .clientStopped }
}
