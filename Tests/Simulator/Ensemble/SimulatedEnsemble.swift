internal import ZooKeeper

/// A ZooKeeper ensemble in memory, with the semantics of version 3.8, in virtual time.
///
/// Everything happens on the simulation's thread. The servers speak with each other over links that scenarios make slow or
/// cut; clients reach them over ``SimulatedSocket``. Sessions, watches, transactions and the protocol among the servers
/// behave as on a real ensemble, also where that is unpleasant: a server that is cut off answers reads until it notices.
///
/// Not simulated: access lists other than for anybody, nodes with a time to live, observers, reconfiguration, and disks that
/// lose what they have acknowledged.
package final class SimulatedEnsemble {
    package let simulation: Simulation
    package let settings: EnsembleSettings
    /// How long a message takes from one server to another that does not lag.
    var peerLatency: Latency
    /// Where clients connect to, the first server's first.
    package let addresses: [String]

    /// Requests of clients that servers received, pings and connects not counted.
    package internal(set) var requests = 0
    /// Transactions proposed, refused writes and sessions among them.
    package internal(set) var transactions = 0
    /// Watch events sent to clients.
    package internal(set) var watchEvents = 0
    /// Sessions that ended because nothing was heard of them.
    package internal(set) var expiries = 0
    /// Terms of leaders that began.
    package internal(set) var elections = 0

    /// Sees each transaction at the instant at which it is committed, once.
    package var didCommit: (Transaction) -> Void = { _ in }
    /// The last one that was seen.
    private(set) var lastCommitted: Int64 = 0

    private(set) var servers: [SimulatedServer] = []
    var peers: [PeerConnection] = []
    /// The group of each server: those of different groups do not reach each other.
    var groups: [Int]
    var lags: [Latency?]
    private var isLookingForLeader = false
    private var lastConnection = 0
    private var lastTicket = 0
    private var lastSession: Int64 = 0

    /// Makes an ensemble and starts it: a server alone serves at once, others after they have found a leader.
    package init(in simulation: Simulation, settings: EnsembleSettings = EnsembleSettings()) {
        self.simulation = simulation
        self.settings = settings
        peerLatency = settings.peerLatency
        addresses = (1...settings.servers).map { "10.0.0.\($0):2181" }
        groups = [Int](repeating: 0, count: settings.servers)
        lags = [Latency?](repeating: nil, count: settings.servers)
        servers = (0..<settings.servers).map { SimulatedServer($0, in: self) }
        for server in servers { start(server.index) }
    }

    func nextConnection() -> Int {
        lastConnection += 1
        return lastConnection
    }

    func nextTicket() -> Int {
        lastTicket += 1
        return lastTicket
    }

    /// A number that no session has had; its first byte tells where it began.
    func nextSession(on server: SimulatedServer) -> Int64 {
        lastSession += 1
        return (Int64(server.index + 1) << 56) + lastSession
    }

    static func password(of session: Int64) -> [UInt8] {
        var generator = SeededGenerator(seed: UInt64(bitPattern: session))
        return (0..<2).flatMap { _ in
            let number = generator.next()
            return (0..<8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
        }
    }

    /// A server has applied it because it was committed, whether or not as the first.
    func noteCommitted(_ transaction: Transaction) {
        guard transaction.zxid > lastCommitted else { return }
        lastCommitted = transaction.zxid
        didCommit(transaction)
    }

    // MARK: Among the servers

    func connect(_ follower: SimulatedServer, to leader: SimulatedServer) -> PeerConnection {
        peers.removeAll { $0.follower === follower }
        let latency = peerLatency
        let peer = PeerConnection(
            from: follower, to: leader, latency: latency, lag: lags[follower.index] ?? latency)
        if !reach(follower, leader) { peer.hold() }
        peers.append(peer)
        return peer
    }

    private func reach(_ one: SimulatedServer, _ other: SimulatedServer) -> Bool {
        groups[one.index] == groups[other.index]
    }

    /// Holds the connections between groups, and lets the others go on.
    func applyGroups() {
        for peer in peers {
            if reach(peer.follower, peer.leader) { peer.release() } else { peer.hold() }
        }
        lookForLeader()
    }

    func applyLag(of server: Int) {
        for peer in peers where peer.follower.index == server { peer.setLag(lags[server] ?? peerLatency) }
    }

    /// Lets the servers that look for a leader find one, after a while, if they can.
    func lookForLeader() {
        guard !isLookingForLeader, settings.servers > 1 else { return }
        isLookingForLeader = true
        simulation.after(simulation.chance.duration(settings.electionTime)) { [weak self] in
            guard let self else { return }
            isLookingForLeader = false
            for group in Set(groups).sorted() {
                elect(in: servers.filter { groups[$0.index] == group && !$0.machine.isFrozen })
            }
        }
    }

    private func elect(in group: [SimulatedServer]) {
        let looking = group.filter { if case .looking = $0.role { true } else { false } }
        guard !looking.isEmpty else { return }
        if let leader = leader(in: group) {
            for server in looking { server.follow(leader) }
        } else if looking.count >= settings.majority {
            guard let chosen = looking.max(by: { $0.standing < $1.standing }) else { return }
            elections += 1
            chosen.lead(epoch: (looking.map(\.acceptedEpoch).max() ?? 0) + 1)
            for server in looking where server !== chosen { server.follow(chosen) }
        }
    }

    /// A leader whom a majority of the ensemble, all of it in the group, follows.
    private func leader(in group: [SimulatedServer]) -> SimulatedServer? {
        group.first { leader in
            guard leader.leading != nil else { return false }
            let followers = group.filter { server in
                if case .following(let following) = server.role { following.peer.leader === leader } else { false }
            }
            return followers.count + 1 >= settings.majority
        }
    }
}

extension SimulatedServer {
    /// What servers are compared by when they elect one.
    fileprivate var standing: (Int64, Int64, Int) { (currentEpoch, lastLogged, index) }
}
