package import ArgumentParser
package import Logging
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

    @Option("Request this session timeout; servers bound it.", in: .milliseconds(100)...(.hours(1)))
    package var sessionTimeout = DurationArgument.seconds(10)

    @Option("Give up if there is no connection after this time.", in: .milliseconds(1)...DurationArgument.oneDay)
    package var connectTimeout = DurationArgument.seconds(15)

    @Option(
        help: ArgumentHelp(
            "Log messages of this level and above to standard error. (default: warning)",
            discussion: "trace, debug, info, notice, warning, error or critical.", valueName: "level"),
        transform: parseWords)
    package var logLevel = Logger.Level.warning

    package init() {}

    package func validate() throws {
        try endpoint.validate(source: connect == nil ? "ZOOKEEPER_CONNECT" : "--connect")
    }

    /// The ensemble of `--connect`, else of the environment variable, else of the default address.
    package var endpoint: Endpoint {
        let inherited = inheritedEnvironment()["ZOOKEEPER_CONNECT"].flatMap { $0.isEmpty ? nil : $0 }
        return Endpoint(
            connectionString: connect ?? inherited ?? "127.0.0.1:2181",
            sessionTimeout: sessionTimeout.duration, connectTimeout: connectTimeout.duration)
    }

    package func clientConfiguration() throws(ZooKeeperError) -> ZooKeeperClientConfiguration {
        try endpoint.clientConfiguration()
    }
}

/// An ensemble and the timeouts for connecting to it.
package struct Endpoint: Sendable {
    package var connectionString: String
    package var sessionTimeout: Duration
    /// The time after which the program gives up if there is no connection.
    package var connectTimeout: Duration

    package init(connectionString: String, sessionTimeout: Duration, connectTimeout: Duration) {
        self.connectionString = connectionString
        self.sessionTimeout = sessionTimeout
        self.connectTimeout = connectTimeout
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
        try ZooKeeperClientConfiguration(
            connectionString: connectionString, sessionTimeout: sessionTimeout)
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
                Output.report(
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
