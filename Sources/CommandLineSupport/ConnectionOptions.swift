package import ArgumentParser
package import ZooKeeper

/// The options that select the ensemble and configure the session.
///
/// Each of them is also an environment variable and a line of the file of `--config`; see ``Settings``.
package struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The servers of the ensemble, and the chroot: host:port[,host:port...][/chroot].",
            discussion: "Default: the variable ZOOKEEPER_CONNECT, else --config, else 127.0.0.1:2181.",
            valueName: "servers"))
    package var connect: String?

    @Option(
        help: ArgumentHelp(
            "A file with credentials: one per line, such as digest:user:password.",
            discussion: "Only its owner may read it, or also its group if root owns it. # starts a comment line. "
                + "Default: the variable ZOOKEEPER_AUTH_FILE, else --config, else none.",
            valueName: "file"),
        completion: .file())
    package var authFile: String?

    @Option(
        help: ArgumentHelp(
            "The ACL of znodes that the command creates or changes: open, creator, readable, or an entry.",
            discussion:
                "open is for each client, creator for its own identity, readable for its own identity with read "
                + "access for each client. An entry is scheme:id:permissions, such as auth::cdrwa or world:anyone:r, and "
                + "can be repeated. Default: the variable ZOOKEEPER_ACL, else --config, else open. Entries for its own "
                + "identity need credentials.",
            valueName: "acl"))
    package var acl: [String] = []

    @Option(
        help: ArgumentHelp(
            "Encrypt the connection, and accept servers with a certificate of this authority (PEM).",
            discussion:
                "It needs a ZooKeeper C library with TLS, a client certificate and its key. Default: the variable "
                + "ZOOKEEPER_TLS_CA, else --config, else no encryption.",
            valueName: "file"),
        completion: .file())
    package var tlsCa: String?

    @Option(
        help: ArgumentHelp(
            "The certificate of this client and its chain (PEM).",
            discussion: "Default: the variable ZOOKEEPER_TLS_CERT, else --config.", valueName: "file"),
        completion: .file())
    package var tlsCert: String?

    @Option(
        help: ArgumentHelp(
            "The private key of the certificate (PEM), protected as --auth-file.",
            discussion: "Default: the variable ZOOKEEPER_TLS_KEY, else --config.", valueName: "file"),
        completion: .file())
    package var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "A file whose only line is the password of the private key, protected as --auth-file.",
            discussion: "Default: the variable ZOOKEEPER_TLS_KEY_PASSWORD_FILE, else --config, else no password.",
            valueName: "file"),
        completion: .file())
    package var tlsKeyPasswordFile: String?

    @Option(
        """
        Request this session timeout; servers bound it. \
        The variable ZOOKEEPER_SESSION_TIMEOUT and --config also set it. (default: 10s)
        """, in: Self.sessionTimeouts)
    package var sessionTimeout: DurationArgument?

    @Option(
        """
        Give up if there is no connection after this time. \
        The variable ZOOKEEPER_CONNECT_TIMEOUT and --config also set it. (default: 15s)
        """, in: Self.connectTimeouts)
    package var connectTimeout: DurationArgument?

    @Option(
        help: ArgumentHelp(
            "A file with lines such as ZOOKEEPER_CONNECT=zk1:2181, for settings that no option and no variable has.",
            discussion: "Default: the variable ZOOKEEPER_CONFIG, else none. # starts a comment line.", valueName: "file"
        ),
        completion: .file())
    package var config: String?

    @OptionGroup package var log: LogOptions

    private static let sessionTimeouts = DurationArgument.milliseconds(100)...(.hours(1))
    private static let connectTimeouts = DurationArgument.milliseconds(1)...DurationArgument.oneDay

    package init() {}

    package func validate() throws { _ = try endpoint() }

    /// Returns the ensemble, the timeouts, the credentials to present, and the ACL of new znodes.
    ///
    /// - Throws: `ValidationError` if a setting or a file that it names cannot be used.
    package func endpoint() throws -> Endpoint {
        let settings = try Settings(file: config)
        let servers = settings.value(connect, "--connect", .connect)
        var endpoint = Endpoint(
            connectionString: servers?.text ?? "127.0.0.1:2181",
            sessionTimeout: try duration(sessionTimeout, .sessionTimeout, Self.sessionTimeouts, in: settings)
                ?? .seconds(10),
            connectTimeout: try duration(connectTimeout, .connectTimeout, Self.connectTimeouts, in: settings)
                ?? .seconds(15),
            credentials: try credentials(settings), tls: try tls(settings))
        try endpoint.validate(source: servers?.source ?? "--connect")
        endpoint.acl = try acl(settings, of: endpoint)
        return endpoint
    }

    private func acl(_ settings: Settings, of endpoint: Endpoint) throws -> [ACL] {
        let setting = settings.value(nil, "", .acl)
        let texts = acl.isEmpty ? [setting?.text ?? ZNodeAccess.open.rawValue] : acl
        let source = acl.isEmpty ? setting?.source ?? "" : "--acl"
        let acl: [ACL]
        do throws(InvalidACL) { acl = try ZNodeAccess.acl(texts) } catch {
            throw ValidationError("\(source): \(error.description)")
        }
        // A server may take an identity from the certificate as well.
        guard !endpoint.credentials.isEmpty || endpoint.tls != nil || !acl.contains(where: { $0.scheme == "auth" })
        else {
            throw ValidationError(
                "\(source) has an entry for the identity of this client, and there are no credentials: name them with "
                    + "--auth-file")
        }
        return acl
    }

    private func duration(
        _ option: DurationArgument?, _ key: Settings.Key, _ range: ClosedRange<DurationArgument>, in settings: Settings
    ) throws -> Duration? {
        if let option { return option.duration }
        guard let setting = settings.value(nil, "", key) else { return nil }
        guard let value = DurationArgument(argument: setting.text), range.contains(value) else {
            throw ValidationError(
                "\(setting.source) is \(Text.quoted(setting.text)): it must be \(DurationArgument.rule(range))")
        }
        return value.duration
    }

    private func credentials(_ settings: Settings) throws -> [AuthCredential] {
        guard let file = settings.value(authFile, "--auth-file", .authFile) else { return [] }
        return try file.reading { path throws(SettingFileError) in try CredentialFile.read(path) }
    }

    // MARK: TLS

    private func tls(_ settings: Settings) throws -> TLSConfiguration? {
        let authority = settings.value(tlsCa, "--tls-ca", .tlsCA)
        let certificate = settings.value(tlsCert, "--tls-cert", .tlsCert)
        let key = settings.value(tlsKey, "--tls-key", .tlsKey)
        let password = settings.value(tlsKeyPasswordFile, "--tls-key-password-file", .tlsKeyPasswordFile)
        guard let set = authority ?? certificate ?? key ?? password else { return nil }
        guard let authority, let certificate, let key else {
            let names = [("--tls-ca", authority), ("--tls-cert", certificate), ("--tls-key", key)]
            let missing = names.filter { $0.1 == nil }.map(\.0).joined(separator: " and ")
            throw ValidationError(
                "\(set.source) is set, and \(missing) \(missing.contains(" ") ? "are" : "is") not: an encrypted connection "
                    + "needs --tls-ca, --tls-cert and --tls-key")
        }
        let configuration = TLSConfiguration(
            certificateAuthority: authority.text, certificate: certificate.text, privateKey: key.text,
            privateKeyPassword: try password?.reading { path throws(SettingFileError) in
                try SmallFile.secretLine(of: path)
            })
        if let (file, problem) = configuration.fileProblem {
            let setting =
                switch file {
                case .certificateAuthority: authority
                case .certificate: certificate
                case .privateKey: key
                }
            throw ValidationError("\(setting.source) \(Text.quoted(setting.text)) \(problem)")
        }
        guard TLSConfiguration.isSupported else {
            throw ValidationError("\(set.source) is set, and \(TLSConfiguration.unsupported)")
        }
        return configuration
    }

    package func clientConfiguration() throws -> ZooKeeperClientConfiguration {
        try endpoint().clientConfiguration()
    }
}

/// An ensemble and the timeouts for connecting to it.
package struct Endpoint: Sendable {
    package var connectionString: String
    package var sessionTimeout: Duration
    /// The time after which the program gives up if there is no connection.
    package var connectTimeout: Duration
    /// The credentials that the client presents on every connection.
    package var credentials: [AuthCredential]
    /// The ACL of the znodes that the client creates.
    package var acl: [ACL]
    /// The certificates for an encrypted connection; `nil` connects without encryption.
    package var tls: TLSConfiguration?

    package init(
        connectionString: String, sessionTimeout: Duration, connectTimeout: Duration,
        credentials: [AuthCredential] = [], acl: [ACL] = [.openUnsafe], tls: TLSConfiguration? = nil
    ) {
        self.connectionString = connectionString
        self.sessionTimeout = sessionTimeout
        self.connectTimeout = connectTimeout
        self.credentials = credentials
        self.acl = acl
        self.tls = tls
    }

    /// Checks the connection string.
    ///
    /// - Parameter source: The option or the variable that contains the connection string, for the error message.
    /// - Throws: `ValidationError` if the connection string is invalid.
    package func validate(source: String) throws {
        do { _ = try clientConfiguration() } catch {
            throw ValidationError("\(source): \(error.message ?? error.description)")
        }
    }

    package func clientConfiguration() throws(ZooKeeperError) -> ZooKeeperClientConfiguration {
        var configuration = try ZooKeeperClientConfiguration(
            connectionString: connectionString, sessionTimeout: sessionTimeout)
        configuration.auth = credentials
        configuration.acl = acl
        configuration.tls = tls
        return configuration
    }

    /// Waits until a client is connected, and reports the wait on standard error after one second.
    ///
    /// - Throws: ``Overdue`` if there is no connection within ``connectTimeout``; `ValidationError` if the chroot does
    ///   not exist; `CancellationError`.
    package func awaitConnection(of client: ZooKeeperClient) async throws {
        let limit = connectTimeout
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
                Output.notice(
                    "waiting for a connection to \(connectionString), up to \(Text.seconds(limit)) (--connect-timeout)")
            }
            defer { group.cancelAll() }
            do {
                try await client.waitUntilConnected(timeout: limit)
            } catch let error as ZooKeeperError where error.code == .operationTimeout {
                throw Overdue(
                    description: "no connection to \(connectionString) within \(Text.seconds(limit)): check that its "
                        + "servers run and that --connect names them, or set a longer --connect-timeout"
                        + (tls == nil
                            ? "" : "; check also the certificates and that the ports accept TLS (--log-level debug)"))
            }
        }
        guard let chroot = client.configuration.chroot, try await client.exists(at: "/") == nil else { return }
        throw ValidationError(
            "the chroot of \(Text.quoted(connectionString)) does not exist: create \(chroot), or correct --connect")
    }
}
