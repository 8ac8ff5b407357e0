internal import ZooKeeper
internal import ZooKeeperTransport

/// What a server knows while it leads: a term of office.
final class Leading {
    final class Learner {
        let peer: PeerConnection
        var acknowledged: Int64 = 0
        /// Whether it has everything from before the term.
        var isSynchronized = false
        var lastHeard: MonotonicInstant

        init(_ peer: PeerConnection, now: MonotonicInstant) {
            self.peer = peer
            lastHeard = now
        }
    }

    let epoch: Int64
    let tracker: SessionTracker
    /// The last transaction of the log when the term began.
    let inherited: Int64
    /// The last zxid that was given out.
    var last: Int64
    /// Whether a quorum has taken it for its leader.
    var isServing = false
    var learners: [Learner] = []
    var proposed: ProposedChanges
    /// Syncs of followers that wait for a transaction.
    var pendingSyncs: [(zxid: Int64, peer: PeerConnection, ticket: Int)] = []
    /// Half ticks since the term began.
    var halfTicks = 0

    init(epoch: Int64, last: Int64, inherited: Int64, tracker: SessionTracker, isAlone: Bool) {
        self.epoch = epoch
        self.last = last
        self.inherited = inherited
        self.tracker = tracker
        proposed = ProposedChanges(keepsProposals: !isAlone)
    }

    /// A session comes back: whether it may.
    func revalidate(_ session: Int64, timeout: Int32, by server: Int) -> Bool {
        guard tracker.touch(session, timeout: timeout) else { return false }
        tracker.setOwner(of: session, to: server)
        return true
    }

    // MARK: Proposals

    /// Decides what a request becomes, and proposes it.
    func order(_ request: LearnerRequest, session: Int64, origin: Origin, on server: SimulatedServer) {
        switch request {
        case .write(let request):
            let code = tracker.check(session, owner: origin.server)
            propose(session, origin, on: server) { zxid in
                guard code == ReplyCode.ok else { return Self.refusal(of: request, code) }
                return proposed.decide(request, by: session, zxid: zxid, in: server.tree)
            }
        case .createSession(let timeout):
            tracker.track(session, timeout: timeout)
            tracker.setOwner(of: session, to: origin.server)
            propose(session, origin, on: server) { _ in .createSession(timeout: timeout) }
        case .closeSession:
            closeSession(session, origin, on: server)
        case .sync: break
        }
    }

    func closeSession(_ session: Int64, _ origin: Origin?, on server: SimulatedServer) {
        tracker.beginClosing(session)
        propose(session, origin, on: server) { zxid in
            proposed.decideClosing(session, zxid: zxid, in: server.tree) { paths in
                for index in paths.indices.dropLast() {
                    paths.swapAt(index, index + server.simulation.chance.below(paths.count - index))
                }
            }
        }
    }

    func propose(
        _ session: Int64, _ origin: Origin?, on server: SimulatedServer, _ decide: (Int64) -> TreeChange
    ) {
        last += 1
        let transaction = Transaction(
            zxid: last, time: server.wallClock, session: session, change: decide(last), origin: origin)
        server.ensemble.transactions += 1
        if server.settings.servers == 1 { return server.apply(transaction) }
        server.note("proposes \(transaction)")
        server.log.append(transaction)
        for learner in learners { learner.peer.send(.propose(transaction)) }
        commitWhatCan(on: server)
    }

    private static func refusal(of request: TransportRequest, _ code: ReplyCode) -> TreeChange {
        guard case .multi(let operations) = request, !operations.isEmpty else { return .error(code) }
        return .failedMulti(
            [code] + [ReplyCode](repeating: ReplyCode.runtimeInconsistency, count: operations.count - 1))
    }

    /// Commits, in order, what a quorum has logged.
    func commitWhatCan(on server: SimulatedServer) {
        guard isServing else { return }
        while server.appliedCount < server.log.count {
            let next = server.log[server.appliedCount]
            var votes = 1
            for learner in learners where learner.acknowledged >= next.zxid { votes += 1 }
            guard votes >= server.settings.majority else { return }
            for learner in learners { learner.peer.send(.commit(zxid: next.zxid)) }
            server.commit(upTo: next.zxid)
            while let sync = pendingSyncs.first, sync.zxid <= next.zxid {
                pendingSyncs.removeFirst()
                sync.peer.send(.synced(ticket: sync.ticket))
            }
        }
    }

    /// What a leader does besides when it applies a transaction.
    func applied(_ transaction: Transaction, on server: SimulatedServer) {
        if server.settings.servers > 1 { proposed.applied(transaction.zxid) }
        if case .closeSession = transaction.change { tracker.remove(transaction.session) }
        for event in server.events where event.kind == .deleted {
            let parent = Path.parent(of: event.path)
            if server.tree.nodes[parent]?.isReapable == true { reapLater(parent, on: server) }
        }
    }

    func reapLater(_ path: String, on server: SimulatedServer) {
        let life = server.simulation.chance.duration(server.settings.containerLife)
        server.simulation.after(life, by: server.machine) { [weak self, weak server] in
            guard let self, let server, server.leading === self else { return }
            reap(path, on: server)
        }
    }

    func reap(_ path: String, on server: SimulatedServer) {
        guard isServing, server.tree.nodes[path]?.isReapable == true else { return }
        propose(0, nil, on: server) { proposed.decideReaping(path, zxid: $0, in: server.tree) }
    }
}
