internal import ZooKeeper
internal import ZooKeeperTransport

extension SimulatedServer {
    /// Begins a term; it serves as soon as a quorum follows.
    func lead(epoch: Int64) {
        let isAlone = settings.servers == 1
        let tracker = SessionTracker(on: machine, tick: settings.tick) { [weak self] session in
            guard let self, let leading = self.leading else { return }
            note("session \(hex(session)) expired")
            ensemble.expiries += 1
            leading.closeSession(session, nil, on: self)
        }
        let last = isAlone ? appliedZXID : epoch << 32
        let leading = Leading(
            epoch: epoch, last: last, inherited: lastLogged, tracker: tracker, isAlone: isAlone)
        (acceptedEpoch, currentEpoch) = (epoch, epoch)
        role = .leading(leading)
        if isAlone { return serve(leading) }
        note("leads epoch \(epoch) from \(zxidText(lastLogged))")
        simulation.after(machine.trueSpan(of: settings.tick * settings.initLimit), by: machine) {
            [weak self, weak leading] in
            guard let self, let leading, self.leading === leading, !leading.isServing else { return }
            note("found no quorum")
            look()
        }
    }

    /// A quorum follows: every session begins anew with its full timeout.
    private func serve(_ leading: Leading) {
        leading.isServing = true
        appliedZXID = leading.last
        for session in tree.sessions { leading.tracker.track(session, timeout: tree.timeouts[session] ?? 0) }
        for path in tree.emptyContainers { leading.reapLater(path, on: self) }
        guard settings.servers > 1 else { return }
        // What it inherited is committed with its first quorum.
        for transaction in log[..<appliedCount] { ensemble.noteCommitted(transaction) }
        note("serves as leader")
        for learner in leading.learners where learner.isSynchronized { learner.peer.send(.upToDate) }
        pingLater(leading)
    }

    private func pingLater(_ leading: Leading) {
        simulation.after(machine.trueSpan(of: settings.tick / 2), by: machine) { [weak self, weak leading] in
            guard let self, let leading, self.leading === leading else { return }
            ping(leading)
        }
    }

    /// Asks the followers who is active, and sees whether they are still a quorum.
    private func ping(_ leading: Leading) {
        leading.halfTicks += 1
        let limit = machine.trueSpan(of: settings.tick * settings.syncLimit)
        if leading.halfTicks.isMultiple(of: 2) {
            for learner in leading.learners where simulation.now - learner.lastHeard > limit {
                note("has not heard \(learner.peer.follower.name) for \(limit)")
                learner.peer.closeByLeader()
            }
            leading.learners.removeAll { simulation.now - $0.lastHeard > limit }
            var followers = 0
            for learner in leading.learners where learner.isSynchronized { followers += 1 }
            if followers + 1 < settings.majority {
                note("lost its quorum")
                return look()
            }
        }
        for learner in leading.learners { learner.peer.send(.ping) }
        pingLater(leading)
    }

    func receive(_ message: LearnerMessage, from peer: PeerConnection) {
        guard let leading else { return peer.closeByLeader() }
        if case .follow = message { return synchronize(peer, leading) }
        guard let learner = leading.learners.first(where: { $0.peer === peer }) else { return }
        learner.lastHeard = simulation.now
        switch message {
        case .follow: break
        case .acknowledge(let zxid):
            learner.acknowledged = max(learner.acknowledged, zxid)
            if !learner.isSynchronized { join(learner, leading) }
            leading.commitWhatCan(on: self)
        case .request(.sync, _, let ticket):
            if appliedCount == log.count {
                peer.send(.synced(ticket: ticket))
            } else {
                leading.pendingSyncs.append((leading.last, peer, ticket))
            }
        case .request(let request, let session, let ticket):
            guard leading.isServing else { return }
            leading.order(
                request, session: session, origin: Origin(server: peer.follower.index, ticket: ticket), on: self)
        case .revalidate(let session, let timeout, let ticket):
            let isLive = leading.revalidate(session, timeout: timeout, by: peer.follower.index)
            peer.send(.revalidated(ticket: ticket, isLive: isLive))
        case .active(let sessions):
            for (session, timeout) in sessions { leading.tracker.touch(session, timeout: timeout) }
        }
    }

    /// Brings a follower's log to what the leader's is.
    private func synchronize(_ peer: PeerConnection, _ leading: Leading) {
        let theirs = peer.follower.log
        var keep = min(theirs.count, log.count)
        while keep > 0, theirs[keep - 1] !== log[keep - 1] { keep -= 1 }
        let committed = appliedCount > 0 ? log[appliedCount - 1].zxid : 0
        leading.learners.removeAll { $0.peer.follower === peer.follower }
        leading.learners.append(Leading.Learner(peer, now: simulation.now))
        peer.send(
            .synchronize(keep: keep, entries: Array(log[keep...]), committed: committed, epoch: leading.epoch))
    }

    private func join(_ learner: Leading.Learner, _ leading: Leading) {
        learner.isSynchronized = true
        if leading.isServing { return learner.peer.send(.upToDate) }
        var followers = 0
        for learner in leading.learners where learner.isSynchronized { followers += 1 }
        if followers + 1 >= settings.majority { serve(leading) }
    }
}
