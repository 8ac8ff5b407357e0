package import ArgumentParser
import SystemSupport
package import ZooKeeper

/// The options that select the ensemble and configure the session.
package struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The servers of the ensemble, and the chroot: host:port[,host:port...][/chroot].",
            discussion: "Default: the environment variable ZOOKEEPER_CONNECT, else 127.0.0.1:2181.",
            valueName: "servers"))
    package var connect: String?

    @Option(
        help: ArgumentHelp(
            "A file with credentials: one per line, such as digest:user:password.",
            discussion: "Only its owner may read it, or also its group if root owns it. # starts a comment line. "
                + "Default: the environment variable ZOOKEEPER_AUTH_FILE, else none.",
            valueName: "file"),
        completion: .file())
    package var authFile: String?

    @Option(
        help: ArgumentHelp(
            "The access to znodes that the command creates: open for each client, creator for its own identity.",
            discussion: "Default: the environment variable ZOOKEEPER_ACL, else open. creator needs credentials.",
            valueName: "access"))
    package var acl: ZNodeAccess?

    @Option("Request this session timeout; servers bound it.", in: .milliseconds(100)...(.hours(1)))
    package var sessionTimeout = DurationArgument.seconds(10)

    @Option("Give up if there is no connection after this time.", in: .milliseconds(1)...DurationArgument.oneDay)
    package var connectTimeout = DurationArgument.seconds(15)

    @OptionGroup package var log: LogOptions

    package init() {}

    package func validate() throws {
        try endpoint().validate(source: connect == nil ? "ZOOKEEPER_CONNECT" : "--connect")
    }

    /// Returns the ensemble of `--connect`, else of the environment variable, else of the default address, with the
    /// credentials to present to it.
    ///
    /// - Throws: `ValidationError` if the file with the credentials cannot be used.
    package func endpoint() throws -> Endpoint {
        Endpoint(
            connectionString: connect ?? Self.inherited("ZOOKEEPER_CONNECT") ?? "127.0.0.1:2181",
            sessionTimeout: sessionTimeout.duration, connectTimeout: connectTimeout.duration,
            credentials: try credentials(), acl: try access().acl)
    }

    private func access() throws -> ZNodeAccess {
        let variable = "ZOOKEEPER_ACL"
        let inherited = acl == nil ? Self.inherited(variable) : nil
        guard let access = acl ?? inherited.map(ZNodeAccess.init(argument:)) ?? .open else {
            throw ValidationError("\(variable) is \(Text.quoted(inherited ?? "")): use open or creator")
        }
        guard try access == .open || !credentials().isEmpty else {
            throw ValidationError(
                "\(acl == nil ? variable : "--acl") is creator, and there are no credentials: name them with --auth-file"
            )
        }
        return access
    }

    private func credentials() throws -> [AuthCredential] {
        let variable = "ZOOKEEPER_AUTH_FILE"
        guard let path = authFile ?? Self.inherited(variable) else { return [] }
        do throws(SettingFileError) {
            return try CredentialFile.read(path)
        } catch {
            let source = authFile == nil ? variable : "--auth-file"
            throw ValidationError("\(source) \(Text.quoted(path)) \(error.problem)")
        }
    }

    /// Returns the value of an environment variable, unless it is empty.
    private static func inherited(_ name: String) -> String? {
        inheritedEnvironment()[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    package func clientConfiguration() throws -> ZooKeeperClientConfiguration {
        try endpoint().clientConfiguration()
    }
}

/// The access to the znodes that a command creates.
package enum ZNodeAccess: String, ExpressibleByArgument, CaseIterable, Sendable {
    case open, creator

    var acl: [ACL] { self == .open ? [.openUnsafe] : [.creatorAll] }
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

    package init(
        connectionString: String, sessionTimeout: Duration, connectTimeout: Duration,
        credentials: [AuthCredential] = [], acl: [ACL] = [.openUnsafe]
    ) {
        self.connectionString = connectionString
        self.sessionTimeout = sessionTimeout
        self.connectTimeout = connectTimeout
        self.credentials = credentials
        self.acl = acl
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
                        + "servers run and that --connect names them, or set a longer --connect-timeout")
            }
        }
        guard let chroot = client.configuration.chroot, try await client.exists(at: "/") == nil else { return }
        throw ValidationError(
            "the chroot of \(Text.quoted(connectionString)) does not exist: create \(chroot), or correct --connect")
    }
}
