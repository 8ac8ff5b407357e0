/// The counters of a server, as `mntr` reports them.
public struct TestServerCounters: Sendable, Hashable {
    /// All values by their names, such as `zk_packets_received`.
    public var values: [String: String]

    /// Parses the answer to `mntr`: a name, a tab and a value in each line.
    init(_ answer: String) {
        self.values = [:]
        for line in answer.split(separator: "\n") {
            let parts = line.split(separator: "\t", maxSplits: 1)
            if parts.count == 2 { self.values[String(parts[0])] = String(parts[1]) }
        }
    }

    /// The value of a counter that is an integer, or `nil` if there is none.
    public subscript(_ name: String) -> Int? { self.values[name].flatMap { Int($0) } }

    /// The number of packets received from clients since the server's start.
    ///
    /// This includes requests, pings, and each four-letter-word command.
    public var packetsReceived: Int { self["zk_packets_received"] ?? 0 }
    /// The number of packets sent to clients since the server's start: replies and watch events.
    public var packetsSent: Int { self["zk_packets_sent"] ?? 0 }
    /// The number of client connections, including the one that sent the command.
    public var connectionCount: Int { self["zk_num_alive_connections"] ?? 0 }
    /// The number of watches on this server.
    public var watchCount: Int { self["zk_watch_count"] ?? 0 }
    /// The number of ephemeral znodes.
    public var ephemeralCount: Int { self["zk_ephemerals_count"] ?? 0 }
    /// The number of znodes, including those of the server itself.
    public var znodeCount: Int { self["zk_znode_count"] ?? 0 }
}
