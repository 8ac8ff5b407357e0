extension ZooKeeperError {
    /// Returns the error for a refused watch, with the reason and the remedy.
    ///
    /// - Parameter size: The size of the session's watches in the packet that sets them again, in bytes.
    static func watchRefused(
        path: String?, isShared: Bool, size: Int, maximumPacketSize: Int
    ) -> ZooKeeperError {
        let rule =
            isShared
            ? "the room that caches and other watches share is used up: the session's watches take \(size) bytes"
            : "the session's watches take \(size) bytes, and one more would not fit"
        var error = ZooKeeperError(
            .invalidArgument, path: path,
            message: "\(rule) in the packet that sets them again after a reconnect, and maximumPacketSize is "
                + "\(maximumPacketSize); watch fewer znodes, or raise it together with the servers' jute.maxbuffer")
        error.isWatchRefusal = true
        return error
    }
}
