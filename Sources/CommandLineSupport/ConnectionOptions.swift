package import ArgumentParser
package import Logging
import SystemSupport
package import ZooKeeper

/// Where the ensemble is, and what session to ask it for.
package struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The ensemble: HOST:PORT[,HOST:PORT...][/CHROOT].",
            discussion: "Default: the variable ZOOKEEPER_CONNECT, else 127.0.0.1:2181."))
    package var connect: String?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("The session timeout to ask for.", valueName: "seconds"),
        transform: number(0.1...3600, "seconds"))
    package var sessionTimeout = 10.0

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("How long to wait for a connection before giving up.", valueName: "seconds"),
        transform: number(0.001...86_400, "seconds"))
    package var connectTimeout = 15.0

    @Option(
        help: ArgumentHelp(
            "The log lines that standard error gets: those of this level and worse.",
            discussion: "trace, debug, info, notice, warning, error or critical."),
        transform: parseWords)
    package var logLevel = Logger.Level.warning

    package init() {}

    package func validate() throws {
        try endpoint.validate(source: connect == nil ? "ZOOKEEPER_CONNECT" : "--connect")
    }

    /// What was given, or where to look when nothing was.
    package var endpoint: Endpoint {
        let inherited = inheritedEnvironment()["ZOOKEEPER_CONNECT"].flatMap { $0.isEmpty ? nil : $0 }
        return Endpoint(
            connectionString: connect ?? inherited ?? "127.0.0.1:2181", sessionTimeout: sessionTimeout,
            connectTimeout: connectTimeout)
    }

    package func clientConfiguration() throws(ZooKeeperError) -> ZooKeeperClientConfiguration {
        try endpoint.clientConfiguration()
    }
}

/// An ensemble, and how to connect to it.
package struct Endpoint: Sendable {
    package var connectionString: String
    /// In seconds, as the next.
    package var sessionTimeout: Double
    package var connectTimeout: Double

    package init(connectionString: String, sessionTimeout: Double, connectTimeout: Double) {
        self.connectionString = connectionString
        self.sessionTimeout = sessionTimeout
        self.connectTimeout = connectTimeout
    }

    /// Throws what is wrong, in words for the command line.
    ///
    /// - Parameter source: What the connection string was given by.
    package func validate(source: String) throws {
        do { _ = try clientConfiguration() } catch {
            throw ValidationError("\(source): \(error.message ?? error.description)")
        }
    }

    package func clientConfiguration() throws(ZooKeeperError) -> ZooKeeperClientConfiguration {
        try ZooKeeperClientConfiguration(
            connectionString: connectionString, sessionTimeout: .seconds(sessionTimeout))
    }

    /// Waits until a client is connected, and says after a moment what for.
    ///
    /// - Throws: ``Overdue``; `ValidationError` when the chroot does not exist; `CancellationError`.
    package func awaitConnection(of client: ZooKeeperClient) async throws {
        let limit = Duration.seconds(connectTimeout)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
                Output.note(
                    "Waiting for a connection to \(connectionString), up to \(Text.seconds(limit)) (--connect-timeout)."
                )
            }
            defer { group.cancelAll() }
            do {
                try await client.waitUntilConnected(timeout: limit)
            } catch let error as ZooKeeperError where error.code == .operationTimeout {
                throw Overdue(
                    description: "no connection to \(connectionString) within \(Text.seconds(limit)): check that its "
                        + "servers run and that --connect names them, or wait longer with --connect-timeout")
            }
        }
        guard let chroot = client.configuration.chroot, try await client.exists(at: "/") == nil else { return }
        throw ValidationError(
            "the chroot of \(Text.quoted(connectionString)) does not exist: create \(chroot), or correct --connect.")
    }
}
