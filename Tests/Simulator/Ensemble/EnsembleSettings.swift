internal import ZooKeeper

/// How a simulated ensemble is set up.
package struct EnsembleSettings: Sendable {
    /// 1 for a server alone, else 3 or 5.
    package var servers: Int
    package var tick: Duration
    /// How many ticks a server may be out of touch with its leader, or a leader with its quorum.
    package var syncLimit: Int
    /// How many ticks a new leader has to gather a quorum.
    package var initLimit: Int
    /// How long messages between servers take.
    package var peerLatency: Latency
    /// How long it takes to agree on a leader once a majority looks for one.
    package var electionTime: ClosedRange<Duration>
    /// How long after its last child a container goes.
    package var containerLife: ClosedRange<Duration>
    /// The shortest session timeout that each server grants, in turn; two ticks where there is none.
    package var minimumSessionTimeouts: [Duration] = []
    /// How fast the servers' clocks run, in turn; 1 is as fast as true time.
    package var clockRates: [Double] = [1]
    /// The wall clock of the world's beginning, in milliseconds since 1970.
    package var epoch: Int64

    package init(
        servers: Int = 1, tick: Duration = .seconds(2), syncLimit: Int = 5, initLimit: Int = 10,
        peerLatency: Latency = Latency(),
        electionTime: ClosedRange<Duration> = .milliseconds(200) ... .milliseconds(600),
        containerLife: ClosedRange<Duration> = .zero ... .seconds(60), epoch: Int64 = 1_750_000_000_000
    ) {
        precondition(servers >= 1 && servers % 2 == 1, "an ensemble has an odd number of servers")
        self.servers = servers
        self.tick = tick
        self.syncLimit = syncLimit
        self.initLimit = initLimit
        self.peerLatency = peerLatency
        self.electionTime = electionTime
        self.containerLife = containerLife
        self.epoch = epoch
    }

    var majority: Int { servers / 2 + 1 }
    func shortestSession(on server: Int) -> Int32 {
        let minimums = minimumSessionTimeouts.isEmpty ? [tick * 2] : minimumSessionTimeouts
        return Int32(clamping: minimums[server % minimums.count].milliseconds)
    }
    var longestSession: Int32 { Int32(clamping: (tick * 20).milliseconds) }

    /// What an ensemble keeps in `/zookeeper/config`; a server alone keeps nothing there.
    var configuration: [UInt8] {
        guard servers > 1 else { return [] }
        let members = (1...servers).map { "server.\($0)=10.0.0.\($0):2888:3888:participant;0.0.0.0:2181" }
        return Array((members.joined(separator: "\n") + "\nversion=0").utf8)
    }
}
