/// The configuration of test servers.
///
/// The defaults suit tests: ticks are short so that session timeouts of 1 s are possible, and the server neither waits
/// for the disk nor limits the number of connections.
public struct TestServerConfiguration: Sendable {
    /// The port for clients; in an ensemble, the port of the first member, followed by those of the others.
    ///
    /// `nil` selects free ports. If another process uses the port, the start fails. Default: `nil`.
    public var port: Int?
    /// The server's unit of time.
    ///
    /// The shortest session timeout is always two ticks, which is 1 s by default. The server notices the end of a
    /// session with a delay of up to one tick. Default: 500 ms.
    public var tickTime: Duration = .milliseconds(500)
    /// The longest session timeout that the server grants.
    ///
    /// Default: 600 s.
    public var maximumSessionTimeout: Duration = .seconds(600)
    /// The number of ticks that a member of an ensemble may take to connect to its leader and synchronize.
    ///
    /// Default: 20, which is 10 s with the default ``tickTime``.
    public var initLimit = 20
    /// The number of ticks that a member may be out of contact with its leader before they disconnect.
    ///
    /// Default: 10, which is 5 s with the default ``tickTime``.
    public var syncLimit = 10
    /// The interval at which the server deletes empty containers and znodes whose time to live has expired.
    ///
    /// Default: 60 s.
    public var containerCheckInterval: Duration = .seconds(60)
    /// Whether znodes with a time to live can be created.
    ///
    /// Default: `true`.
    public var extendedTypes = true
    /// The maximum heap size of a server, in MiB.
    ///
    /// A server keeps its last 500 transactions in memory, three times each. With data of 1 MiB per write, it fails
    /// with an `OutOfMemoryError` after about a third as many writes as it has MiB. The memory is allocated only when
    /// it is needed. Default: 512 MiB.
    public var heapMegabytes = 512
    /// The log level of the server: `error`, `warn`, `info` or `debug`.
    ///
    /// Default: `warn`.
    public var logLevel = "warn"
    /// The time that a server may take to become ready before its start fails.
    ///
    /// Default: 60 s.
    public var startTimeout: Duration = .seconds(60)
    /// Additional lines for the server's configuration file, which take precedence.
    ///
    /// Default: none.
    public var additionalSettings: [String: String] = [:]
    /// Additional system properties for the Java runtime, which take precedence.
    ///
    /// Default: none.
    public var systemProperties: [String: String] = [:]

    /// Creates a configuration with the default values.
    public init() {}
}

extension TestServerConfiguration {
    /// Returns the lines of the configuration file.
    func lines(dataFolder: String, address: String, port: Int, peers: [String]) -> String {
        let tick = self.tickTime.wholeMilliseconds
        var settings = [
            "tickTime": "\(tick)",
            "minSessionTimeout": "\(2 * tick)",
            "maxSessionTimeout": "\(self.maximumSessionTimeout.wholeMilliseconds)",
            "initLimit": "\(self.initLimit)",
            "syncLimit": "\(self.syncLimit)",
            "dataDir": dataFolder,
            "clientPort": "\(port)",
            "clientPortAddress": address,
            "maxClientCnxns": "0",
            "4lw.commands.whitelist": "*",
            "admin.enableServer": "false",
            "snapCount": "1000000",
        ]
        settings.merge(self.additionalSettings) { $1 }
        let lines = settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return (lines + peers).map { $0 + "\n" }.joined()
    }

    /// Returns the arguments for `java`.
    func arguments(runtime: JavaRuntime, settingsFile: String) -> [String] {
        var properties = [
            "java.net.preferIPv4Stack": "true",
            "org.slf4j.simpleLogger.defaultLogLevel": self.logLevel,
            "org.slf4j.simpleLogger.showDateTime": "true",
            "org.slf4j.simpleLogger.dateTimeFormat": "HH:mm:ss.SSS",
            "zookeeper.jmx.log4j.disable": "true",
            "zookeeper.forceSync": "no",
            "zookeeper.preAllocSize": "1024",
            "zookeeper.extendedTypesEnabled": "\(self.extendedTypes)",
            "znode.container.checkIntervalMs": "\(self.containerCheckInterval.wholeMilliseconds)",
        ]
        properties.merge(self.systemProperties) { $1 }
        let machine = [
            "-Xmx\(self.heapMegabytes)m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            "-XX:-UsePerfData",
        ]
        return machine + properties.sorted { $0.key < $1.key }.map { "-D\($0.key)=\($0.value)" }
            + ["-cp", runtime.classPath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", settingsFile]
    }
}

extension Duration {
    /// The duration in milliseconds, rounded down.
    var wholeMilliseconds: Int64 {
        self.components.seconds * 1_000 + self.components.attoseconds / 1_000_000_000_000_000
    }
}
