internal import ZooKeeperTransport

extension ZooKeeperClientConfiguration {
    static let possibleRequestsInFlight = 1...4096
    /// The shortest session timeout, in milliseconds.
    static let shortestSessionTimeout: Int64 = 100
    /// The longest session timeout, in milliseconds: the C client multiplies it by two in 32 bits.
    static let longestSessionTimeout = Int64(Int32.max / 2)
    static let widestMargin = 0.65
    static let possiblePacketSizes = 1025...Int(Int32.max)

    /// Validates all settings.
    ///
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`; the message has the first invalid setting, its
    ///   value and the valid values.
    func validate() throws(ZooKeeperError) {
        try validateServers()
        try validateTimes()
        try require(
            Self.possibleRequestsInFlight.contains(maximumRequestsInFlight), "maximumRequestsInFlight",
            "\(maximumRequestsInFlight)", "from 1 to 4096, such as 1024")
        try require(
            Self.possiblePacketSizes.contains(maximumPacketSize), "maximumPacketSize",
            "\(maximumPacketSize)", "more than 1024 bytes, as the servers' jute.maxbuffer, such as 1048575")
        if let problem = tls?.passwordProblem {
            throw ZooKeeperError(.invalidConfiguration, message: "tls.privateKeyPassword \(problem)")
        }
        try validateRights()
    }

    private func validateServers() throws(ZooKeeperError) {
        let example = "such as ServerAddress(host: \"zk1.example\", port: 2181)"
        try require(!servers.isEmpty, "servers", "[]", "at least one server, \(example)")
        for (index, server) in servers.enumerated() {
            guard let problem = server.problem else { continue }
            try require(false, "servers[\(index)]", "\"\(server)\"; it \(problem)", "a host and a port, \(example)")
        }
    }

    private func validateTimes() throws(ZooKeeperError) {
        try require(
            (Self.shortestSessionTimeout...Self.longestSessionTimeout).contains(sessionTimeout.milliseconds),
            "sessionTimeout",
            "\(sessionTimeout)",
            "from \(Self.shortestSessionTimeout) ms, since a connection must be established within 0.7 of it, "
                + "to \(Self.longestSessionTimeout) ms, such as .seconds(10)")
        try require(
            (0...Self.widestMargin).contains(validityMargin), "validityMargin", "\(validityMargin)",
            "from 0 to \(Self.widestMargin), such as 0.05: with more, grants would end between two heartbeats")
        try require(
            handleReleaseTimeout >= .zero, "handleReleaseTimeout", "\(handleReleaseTimeout)",
            "at least 0, such as .seconds(30)")
        if let limit = initialConnectionTimeout {
            try require(
                limit > .zero, "initialConnectionTimeout", "\(limit)",
                "above 0, such as .seconds(15), or nil to wait without limit")
        }
        try require(retry.timeout > .zero, "retry.timeout", "\(retry.timeout)", "above 0, such as .seconds(30)")
        try require(
            retry.initialDelay > .zero, "retry.initialDelay", "\(retry.initialDelay)",
            "above 0, such as .milliseconds(50)")
        try require(
            retry.maximumDelay >= retry.initialDelay, "retry.maximumDelay", "\(retry.maximumDelay)",
            "at least retry.initialDelay, which is \(retry.initialDelay)")
    }

    /// Validates access control lists and credentials.
    ///
    /// Schemes and IDs are passed as C strings, which end at the first NUL. Messages do not contain credentials.
    private func validateRights() throws(ZooKeeperError) {
        try require(!acl.isEmpty, "acl", "[]", "at least one entry, such as .open")
        for (index, entry) in acl.enumerated() {
            try require(
                Self.isScheme(entry.scheme) && !entry.id.utf8.contains(0), "acl[\(index)]",
                "scheme \"\(entry.scheme)\", id \"\(entry.id)\"",
                "a scheme with its id, such as \"world\" and \"anyone\"")
        }
        for (index, credential) in auth.enumerated() {
            try require(
                Self.isScheme(credential.scheme), "auth[\(index)].scheme", "\"\(credential.scheme)\"",
                "a scheme's name, such as \"digest\"")
            let size = TransportRequest.addAuth(credential.transport).encodedSize
            try require(
                size <= maximumPacketSize, "auth[\(index)]", "a credential that takes \(size) bytes on the wire",
                "at most maximumPacketSize, which is \(maximumPacketSize)")
        }
    }

    private static func isScheme(_ scheme: String) -> Bool {
        !scheme.isEmpty && !scheme.utf8.contains(0)
    }

    private func require(
        _ holds: Bool,
        _ setting: String,
        _ value: String,
        _ right: String
    ) throws(ZooKeeperError) {
        guard holds else {
            throw ZooKeeperError(.invalidConfiguration, message: "\(setting) is \(value); it must be \(right)")
        }
    }
}
