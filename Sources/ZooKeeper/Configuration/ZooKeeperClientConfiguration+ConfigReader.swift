#if Configuration
public import Configuration

extension ZooKeeperClientConfiguration {
    /// Creates a configuration from a configuration reader, and validates it.
    ///
    /// Durations are numbers of seconds, such as `0.05`. A key that is missing keeps its default. A value that cannot
    /// be converted is an error; it is never replaced by the default.
    ///
    /// ## Configuration keys
    /// - `connectionString` (string): `host:port,host:port/chroot`. Either this key or `servers` is required.
    /// - `servers` (string array): `host:port` each, IPv6 addresses in brackets.
    /// - `chroot` (string): the znode that is the root of all paths; not allowed together with a chroot in
    ///   `connectionString`.
    /// - `sessionTimeoutSeconds` (double, default 10): ``sessionTimeout``.
    /// - `initialConnectionTimeoutSeconds` (double, default none): ``initialConnectionTimeout``.
    /// - `validityMargin` (double, default 0.05): ``validityMargin``.
    /// - `handleReleaseTimeoutSeconds` (double, default 30): ``handleReleaseTimeout``.
    /// - `retry.timeoutSeconds` (double, default 30): ``RetryPolicy/timeout``.
    /// - `retry.initialDelaySeconds` (double, default 0.05): ``RetryPolicy/initialDelay``.
    /// - `retry.maximumDelaySeconds` (double, default 2): ``RetryPolicy/maximumDelay``.
    /// - `auth.scheme` (string, default `digest`): the scheme of `auth.credential`.
    /// - `auth.credential` (string, secret): the credential in the format of the scheme, such as `user:password`.
    /// - `tls.certificateAuthority` (string, default none): ``TLSConfiguration/certificateAuthority``. This key, the
    ///   next and the one after it are set together.
    /// - `tls.certificate` (string, default none): ``TLSConfiguration/certificate``.
    /// - `tls.privateKey` (string, default none): ``TLSConfiguration/privateKey``.
    /// - `tls.privateKeyPassword` (string, secret, default none): ``TLSConfiguration/privateKeyPassword``.
    /// - `acl` (string, default `open`): `open`, `readOnly` or `creatorAll`.
    /// - `usesContainerParents` (bool, default `true`): ``usesContainerParents``.
    /// - `maximumRequestsInFlight` (int, default 1024): ``maximumRequestsInFlight``.
    /// - `maximumPacketSize` (int, default 1048575): ``maximumPacketSize``.
    ///
    /// - Parameter config: The reader, scoped to the keys of the client.
    /// - Throws: ``ZooKeeperError`` with code `.invalidConfiguration`, whose message names the key, or the setting and
    ///   its value.
    public init(config: ConfigReader) throws {
        let keys = ConfigurationKeys(config: config)
        let ensemble = try keys.ensemble()
        self.init(servers: ensemble.servers, chroot: ensemble.chroot)
        if let timeout = try keys.duration("sessionTimeoutSeconds") { sessionTimeout = timeout }
        if let timeout = try keys.duration("initialConnectionTimeoutSeconds") { initialConnectionTimeout = timeout }
        if let margin = try keys.number("validityMargin") { validityMargin = margin }
        if let timeout = try keys.duration("handleReleaseTimeoutSeconds") { handleReleaseTimeout = timeout }
        if let timeout = try keys.duration("retry.timeoutSeconds") { retry.timeout = timeout }
        if let delay = try keys.duration("retry.initialDelaySeconds") { retry.initialDelay = delay }
        if let delay = try keys.duration("retry.maximumDelaySeconds") { retry.maximumDelay = delay }
        if let credential = keys.credential() { auth = [credential] }
        tls = try keys.tls()
        if let entry = try keys.acl() { acl = [entry] }
        if let flag = try keys.flag("usesContainerParents") { usesContainerParents = flag }
        if let limit = try keys.integer("maximumRequestsInFlight") { maximumRequestsInFlight = limit }
        if let size = try keys.integer("maximumPacketSize") { maximumPacketSize = size }
        try validate()
    }
}

/// Reads single keys.
///
/// A reader returns `nil` both for a missing value and for a value that it cannot convert.
private struct ConfigurationKeys {
    let config: ConfigReader

    func ensemble() throws(ZooKeeperError) -> ConnectionString {
        var ensemble: ConnectionString
        switch (config.string(forKey: "connectionString"), config.stringArray(forKey: "servers")) {
        case (let text?, nil): ensemble = try ConnectionString(text)
        case (nil, let servers?):
            ensemble = try ConnectionString(servers.joined(separator: ","))
            guard ensemble.chroot == nil else { throw error("servers", "has a chroot; set the key chroot instead") }
        case (nil, nil): throw error("connectionString", "is missing, and so is servers; set one, such as \"zk1:2181\"")
        case (.some, .some): throw error("servers", "is set and so is connectionString; set only one of them")
        }
        guard let chroot = config.string(forKey: "chroot"), chroot != "/" else { return ensemble }
        guard ensemble.chroot == nil else {
            throw error("chroot", "is set, and the connection string has a chroot as well; set only one of them")
        }
        do throws(ZooKeeperError) {
            ensemble.chroot = try ZNodePath(chroot)
        } catch {
            throw self.error("chroot", "is \"\(chroot)\", with \(error.message ?? "an error")")
        }
        return ensemble
    }

    func credential() -> AuthCredential? {
        guard let credential = config.string(forKey: "auth.credential", isSecret: true) else { return nil }
        let scheme = config.string(forKey: "auth.scheme", default: "digest")
        return AuthCredential(scheme: scheme, credential: Array(credential.utf8))
    }

    func tls() throws(ZooKeeperError) -> TLSConfiguration? {
        let names = ["tls.certificateAuthority", "tls.certificate", "tls.privateKey"]
        let paths = names.map { config.string(forKey: ConfigKey($0)) }
        let password = config.string(forKey: "tls.privateKeyPassword", isSecret: true)
        if password == nil, paths.allSatisfy({ $0 == nil }) { return nil }
        guard let authority = paths[0], let certificate = paths[1], let key = paths[2] else {
            let missing = zip(names, paths).first { $0.1 == nil }?.0 ?? ""
            throw error(
                missing, "is missing, and other keys of tls are set; set all of \(names.joined(separator: ", "))")
        }
        return TLSConfiguration(
            certificateAuthority: authority, certificate: certificate, privateKey: key, privateKeyPassword: password)
    }

    func acl() throws(ZooKeeperError) -> ACL? {
        switch config.string(forKey: "acl") {
        case nil: nil
        case "open": .openUnsafe
        case "readOnly": .readUnsafe
        case "creatorAll": .creatorAll
        case let other?: throw error("acl", "is \"\(other)\"; it must be open, readOnly or creatorAll")
        }
    }

    func duration(_ key: ConfigKey) throws(ZooKeeperError) -> Duration? {
        guard let seconds = try number(key) else { return nil }
        guard seconds.isFinite, abs(seconds) < 1e12 else {
            throw error("\(key)", "is \(seconds); it must be a number of seconds, such as 10 or 0.05")
        }
        return .seconds(seconds)
    }

    func number(_ key: ConfigKey) throws(ZooKeeperError) -> Double? {
        if let number = config.double(forKey: key) { return number }
        if let number = config.int(forKey: key) { return Double(number) }
        return try missing(key, "a number, such as 10 or 0.05")
    }

    func integer(_ key: ConfigKey) throws(ZooKeeperError) -> Int? {
        if let number = config.int(forKey: key) { return number }
        if let number = config.double(forKey: key) {
            throw error("\(key)", "is \(number); it must be a whole number")
        }
        return try missing(key, "a whole number")
    }

    func flag(_ key: ConfigKey) throws(ZooKeeperError) -> Bool? {
        if let flag = config.bool(forKey: key) { return flag }
        return try missing(key, "true or false")
    }

    private func missing<Value>(_ key: ConfigKey, _ right: String) throws(ZooKeeperError) -> Value? {
        guard let text = config.string(forKey: key) else { return nil }
        throw error("\(key)", "is \"\(text)\"; it must be \(right)")
    }

    private func error(_ key: String, _ problem: String) -> ZooKeeperError {
        ZooKeeperError(.invalidConfiguration, message: "key \(key) \(problem)")
    }
}
#endif
