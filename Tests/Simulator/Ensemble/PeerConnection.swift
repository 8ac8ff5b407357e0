internal import ZooKeeper
internal import ZooKeeperTransport

/// What a follower tells its leader.
enum LearnerMessage {
    /// Takes it for its leader and asks for what it lacks.
    case follow
    /// Has logged everything up to a zxid.
    case acknowledge(zxid: Int64)
    case request(LearnerRequest, session: Int64, ticket: Int)
    case revalidate(session: Int64, timeout: Int32, ticket: Int)
    /// Answers a ping: who has been active there since the last one.
    case active([(session: Int64, timeout: Int32)])
}

/// What a server asks its leader to do for a session.
enum LearnerRequest {
    case write(TransportRequest)
    case sync
    case createSession(timeout: Int32)
    case closeSession
}

/// What a leader tells a follower.
enum LeaderMessage {
    /// Keep so many entries of the log, then add these; what is up to a zxid is committed.
    case synchronize(keep: Int, entries: [Transaction], committed: Int64, epoch: Int64)
    /// The follower may serve.
    case upToDate
    case propose(Transaction)
    case commit(zxid: Int64)
    case synced(ticket: Int)
    case revalidated(ticket: Int, isLive: Bool)
    case ping
}

/// The connection of a follower with its leader; each side is told once that it broke.
final class PeerConnection {
    unowned let follower: SimulatedServer
    unowned let leader: SimulatedServer
    private let simulation: Simulation
    private var up: Link<LearnerMessage?>!
    private var down: Link<LeaderMessage?>!
    private var followerKnows = false
    private var leaderKnows = false

    init(from follower: SimulatedServer, to leader: SimulatedServer, latency: Latency, lag: Latency) {
        self.follower = follower
        self.leader = leader
        simulation = follower.simulation
        up = Link(in: simulation, latency: latency, to: leader.machine) { [weak self] message in
            guard let self, !leaderKnows else { return }
            if let message { self.leader.receive(message, from: self) } else { tellLeader() }
        }
        down = Link(in: simulation, latency: lag, to: follower.machine) { [weak self] message in
            guard let self, !followerKnows else { return }
            if let message { self.follower.receive(message, from: self) } else { tellFollower() }
        }
    }

    func send(_ message: LearnerMessage) {
        if !followerKnows { up.send(message) }
    }

    func send(_ message: LeaderMessage) {
        if !leaderKnows { down.send(message) }
    }

    func closeByFollower() {
        guard !followerKnows else { return }
        followerKnows = true
        up.send(nil)
    }

    func closeByLeader() {
        guard !leaderKnows else { return }
        leaderKnows = true
        down.send(nil)
    }

    /// Changes how long messages take in both directions.
    func setLatency(_ latency: Latency) {
        up.latency = latency
        down.latency = latency
    }

    /// Makes messages to the follower slow, or quick again.
    func setLag(_ lag: Latency) {
        down.latency = lag
    }

    /// Nothing arrives, and nobody is told.
    func hold() {
        up.hold()
        down.hold()
    }

    func release() {
        guard up.isHeld else { return }
        up.release()
        down.release()
    }

    private func tellLeader() {
        guard !leaderKnows else { return }
        leaderKnows = true
        leader.lost(self)
    }

    private func tellFollower() {
        guard !followerKnows else { return }
        followerKnows = true
        follower.lost(self)
    }
}
