package import ZooKeeper

extension ZooKeeperError {
    /// What happened and what to do about it, in words that do not require the error codes.
    package var explanation: String {
        let path = path.map { Text.escaped($0) } ?? "the znode"
        let text: String? =
            switch code {
            case .noNode: "\(path) does not exist: check the path and the chroot of --connect"
            case .nodeExists: "\(path) already exists"
            case .notEmpty: "\(path) has children and cannot be deleted"
            case .badVersion: "another process has changed \(path) in the meantime: try again"
            case .noAuth:
                "the ACL of \(path), or for its creation or deletion that of its parent, does not allow this: change the ACL, or "
                    + "use a path that this client may access"
            case .invalidACL:
                "the servers do not accept the ACL for \(path): check its schemes and IDs, and for auth the credentials"
            case .authenticationFailed: "a server refused the credentials: check them"
            case .quotaExceeded: "a quota would be exceeded at \(path): raise it, or delete znodes"
            case .throttled: "the servers are overloaded: try again later"
            case .connectionLoss, .operationTimeout:
                "no server answered in time: check that the servers run and that a majority of them is connected"
            case .sessionExpired:
                "the session has expired, because no server was reached for the session timeout: run the command again"
            case .clientStopped: "the connection was closed before the command ended"
            case .dataTooLarge: "the data for \(path) are larger than a server accepts"
            default: nil
            }
        guard var text else { return description }
        if let message { text += " (\(Text.escaped(message)))" }
        if isOutcomeUnknown { text += "; the change may have been made nevertheless" }
        return text
    }
}
