/// How test servers are set up.
///
/// The defaults suit tests: short ticks, so that sessions of one second work, no waiting for disks, nothing limited.
public struct TestServerConfiguration: Sendable {
    /// The port for clients; in an ensemble the first member's, and the others' follow.
    ///
    /// `nil`, the default, takes ports that are free. A port that another process has fails the start.
    public var port: Int?
    /// The server's unit of time.
    ///
    /// The shortest session timeout is always two ticks: 1 s by default.
    ///
    /// A session's end is noticed with a delay of up to one tick.
    public var tickTime: Duration = .milliseconds(500)
    /// The longest session timeout that the server grants: 10 min by default.
    public var maximumSessionTimeout: Duration = .seconds(600)
    /// How many ticks a member of an ensemble may take to connect to its leader and catch up.
    public var initLimit = 20
    /// How many ticks a member may be out of touch with its leader before the two part: 5 s by default.
    public var syncLimit = 10
    /// How often empty containers and nodes with a time to live are looked for.
    public var containerCheckInterval: Duration = .seconds(60)
    /// Whether nodes with a time to live may be created.
    public var extendedTypes = true
    /// The most memory for a server's heap, in MiB.
    ///
    /// A server keeps its last 500 transactions in memory, three times each: with data of 1 MiB it ends with an
    /// `OutOfMemoryError` after about a third as many writes as it has MiB. The memory is used only when it is needed.
    public var heapMegabytes = 512
    /// The server's log level: `error`, `warn`, `info` or `debug`.
    public var logLevel = "warn"
    /// How long a server may take to become ready before its start counts as failed.
    public var readinessLimit: Duration = .seconds(60)
    /// More lines for the server's configuration file, which take precedence.
    public var additionalSettings: [String: String] = [:]
    /// More system properties for the Java runtime.
    public var systemProperties: [String: String] = [:]

    /// Makes a configuration of defaults.
    public init() {}
}

extension TestServerConfiguration {
    /// The lines of the configuration file.
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

    /// The arguments for `java`.
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
