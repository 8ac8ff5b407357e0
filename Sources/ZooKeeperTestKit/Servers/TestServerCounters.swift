/// What a server has counted, as its `mntr` tells.
public struct TestServerCounters: Sendable, Hashable {
    /// Every value by its name, such as `zk_packets_received`.
    public var values: [String: String]

    /// Reads the answer to `mntr`: a name, a tab and a value in each line.
    init(_ answer: String) {
        self.values = [:]
        for line in answer.split(separator: "\n") {
            let parts = line.split(separator: "\t", maxSplits: 1)
            if parts.count == 2 { self.values[String(parts[0])] = String(parts[1]) }
        }
    }

    /// A value that is a whole number.
    public subscript(_ name: String) -> Int? { self.values[name].flatMap { Int($0) } }

    /// Packets received from clients since the server's start: requests, pings, and each four letter word.
    public var packetsReceived: Int { self["zk_packets_received"] ?? 0 }
    /// Packets sent to clients since the server's start: replies and watch events.
    public var packetsSent: Int { self["zk_packets_sent"] ?? 0 }
    /// Connections of clients now, the one that asked among them.
    public var connectionCount: Int { self["zk_num_alive_connections"] ?? 0 }
    /// Watches that are set at this server now.
    public var watchCount: Int { self["zk_watch_count"] ?? 0 }
    /// Ephemeral nodes now.
    public var ephemeralCount: Int { self["zk_ephemerals_count"] ?? 0 }
    /// Nodes now, the server's own among them.
    public var znodeCount: Int { self["zk_znode_count"] ?? 0 }
}
