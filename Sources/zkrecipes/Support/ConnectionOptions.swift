import ArgumentParser
import ZooKeeper
import ZooKeeperTestKit

/// Where the ensemble is, and what session to ask it for.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The ensemble: HOST:PORT[,HOST:PORT...][/CHROOT].",
            discussion: "Default: the variable ZOOKEEPER_CONNECT, else 127.0.0.1:2181."))
    var connect: String?

    @Option(help: "The session timeout to ask for, in seconds.")
    var sessionTimeout = 10.0

    @Option(help: "How long to wait for the ensemble before giving up, in seconds.")
    var connectTimeout = 15.0

    /// What was given, or where to look when nothing was.
    var connectionString: String {
        connect ?? inheritedEnvironment()["ZOOKEEPER_CONNECT"].flatMap { $0.isEmpty ? nil : $0 } ?? "127.0.0.1:2181"
    }

    func validate() throws {
        guard sessionTimeout > 0, sessionTimeout <= 3600 else {
            throw ValidationError("--session-timeout is \(sessionTimeout); it must be over 0 and at most 3600 seconds.")
        }
        guard connectTimeout > 0, connectTimeout <= 86_400 else {
            throw ValidationError(
                "--connect-timeout is \(connectTimeout); it must be over 0 and at most 86400 seconds.")
        }
        try Self.validate(connectionString)
    }

    /// Throws what is wrong with a connection string, in words for the command line.
    static func validate(_ connectionString: String) throws {
        do {
            _ = try ZooKeeperClientConfiguration(connectionString: connectionString)
        } catch {
            throw ValidationError("--connect: \(error.message ?? error.description)")
        }
    }

    func clientConfiguration() throws(ZooKeeperError) -> ZooKeeperClientConfiguration {
        try ZooKeeperClientConfiguration(
            connectionString: connectionString, sessionTimeout: .seconds(sessionTimeout))
    }
}

/// Reads the path of a znode that others can stand below.
func parsePath(_ argument: String) throws -> String {
    try parsePath(argument, name: "BASE", example: "/orders")
}

/// Reads a path that the command line calls by a name.
func parsePath(_ argument: String, name: String, example: String) throws -> String {
    do {
        let path = try ZNodePath(argument)
        guard path.string != "/" else {
            throw ValidationError("\(name) is the root; name a znode of its own, such as \(example).")
        }
        return path.string
    } catch let error as ZooKeeperError {
        throw ValidationError("\(name) has \(error.message ?? error.description); right would be \(example).")
    }
}
