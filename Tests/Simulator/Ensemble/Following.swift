internal import ZooKeeper
internal import ZooKeeperTransport

/// What a server knows while it follows a leader.
final class Following {
    let peer: PeerConnection
    /// Whether the leader has said that the follower may serve.
    var isServing = false
    var lastHeard: MonotonicInstant
    /// Which of the timers that watch the leader counts: the last.
    var watch = 0
    private var active: [(session: Int64, timeout: Int32)] = []

    init(_ peer: PeerConnection, now: MonotonicInstant) {
        self.peer = peer
        lastHeard = now
    }

    /// Notes a session's activity, for the next answer to a ping.
    func touch(_ session: Int64, timeout: Int32) {
        if let index = active.firstIndex(where: { $0.session == session }) {
            active[index].timeout = timeout
        } else {
            active.append((session, timeout))
        }
    }

    func takeActive() -> [(session: Int64, timeout: Int32)] {
        defer { active.removeAll(keepingCapacity: true) }
        return active
    }
}

extension SimulatedServer {
    func follow(_ leader: SimulatedServer) {
        note("follows \(leader.name)")
        let peer = ensemble.connect(self, to: leader)
        let following = Following(peer, now: simulation.now)
        role = .following(following)
        peer.send(.follow)
        watch(following, 0)
    }

    /// Gives the leader up when nothing has come from it for too long.
    private func watch(_ following: Following, _ number: Int) {
        let ticks = following.isServing ? settings.syncLimit : settings.initLimit
        let limit = machine.trueSpan(of: settings.tick * ticks)
        let deadline = following.lastHeard + limit
        if deadline <= simulation.now {
            note("has not heard its leader for \(limit)")
            return look()
        }
        simulation.at(deadline, by: machine) { [weak self, weak following] in
            guard let self, let following, following.watch == number, case .following(let present) = role,
                present === following
            else { return }
            watch(following, number)
        }
    }

    func receive(_ message: LeaderMessage, from peer: PeerConnection) {
        guard case .following(let following) = role, following.peer === peer else { return }
        following.lastHeard = simulation.now
        switch message {
        case .synchronize(let keep, let entries, let committed, let epoch):
            if keep < log.count {
                note("forgets \(log.count - keep) transactions")
                truncate(to: keep)
            }
            log.append(contentsOf: entries)
            commit(upTo: committed)
            (acceptedEpoch, currentEpoch) = (epoch, epoch)
            peer.send(.acknowledge(zxid: lastLogged))
        case .upToDate:
            following.isServing = true
            appliedZXID = max(appliedZXID, currentEpoch << 32)
            note("serves")
            following.watch += 1
            watch(following, following.watch)
        case .propose(let transaction):
            log.append(transaction)
            peer.send(.acknowledge(zxid: transaction.zxid))
        case .commit(let zxid): commit(upTo: zxid)
        case .synced(let ticket): synced(ticket)
        case .revalidated(let ticket, let isLive):
            guard let connection = revalidating.removeValue(forKey: ticket), connection.isOpen else { return }
            finish(connection, isValid: isLive)
        case .ping:
            peer.send(.active(following.takeActive()))
        }
    }

    /// The other side of a connection between servers has gone.
    func lost(_ peer: PeerConnection) {
        switch role {
        case .down, .looking: break
        case .following(let following):
            guard following.peer === peer else { return }
            note("lost its leader")
            look()
        case .leading(let leading):
            leading.learners.removeAll { $0.peer === peer }
        }
    }

    /// Drops the clients and looks for a leader.
    func look() {
        leaveRole()
        dropClients()
        fastForward()
        role = .looking
        ensemble.lookForLeader()
    }

    /// Ends what the server is, without saying what it becomes.
    func leaveRole() {
        switch role {
        case .down, .looking: break
        case .following(let following): following.peer.closeByFollower()
        case .leading(let leading):
            leading.tracker.stop()
            for learner in leading.learners { learner.peer.closeByLeader() }
            leading.learners.removeAll()
        }
    }
}
