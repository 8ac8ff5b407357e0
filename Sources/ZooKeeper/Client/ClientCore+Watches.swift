internal import Logging
internal import Synchronization
internal import ZooKeeperTransport

extension ClientCore {
    /// Nobody waits for this watch any more.
    func giveUp(_ sink: WatchSink, path: String, kind: WatchedKind) {
        guard let full = try? encoder.full(path) else { return }
        let key = WatchTable.Key(path: full, kind: kind.transport)
        if state.withLock({ $0.watches.giveUp(key, sink: sink) }) { removeWatch(key) }
    }

    /// Takes a watch away at the server.
    ///
    /// It waits its turn like every request, so that it can neither overtake a read that set the watch nor follow, unseen,
    /// one that sets it again. Lost with its connection, it is sent on the next one.
    func removeWatch(_ key: WatchTable.Key) {
        let isDue = state.withLock { state -> Bool in
            guard let live = state.live, state.phase != .stopped, !state.watches.isWanted(key) else { return false }
            state.watches.willLeave(key)
            state.requests.append(removal(of: key, epoch: live.epoch))
            return true
        }
        if isDue { pump() }
    }

    /// The request that takes a watch away at the server.
    func removal(of key: WatchTable.Key, epoch: Int) -> Outgoing {
        let kind: WatchedKind = key.kind == .data ? .data : .children
        let request = SessionRequest.unwatch(path: encoder.stripped(key.path), kind)
        let pending = PendingRequest(request, epoch: epoch, created: clock.now) { [weak self] result in
            guard case .failure(let error) = result, error.isOutcomeUnknown else { return }
            self?.removeWatch(key)
        }
        return Outgoing(pending: pending, encoded: .removeWatches(path: key.path, kind: key.kind))
    }

    /// Logs that a session has no room for a watch: once, because whoever needs it goes on trying.
    func warn(ofWatchRefusal error: ZooKeeperError) {
        let session = state.withLock { state -> Session? in
            defer { state.hasToldWatchRefusal = true }
            return state.hasToldWatchRefusal ? nil : state.live?.publicSession
        }
        guard let session else { return }
        logger(for: session).warning(
            "A watch was refused; caches read at intervals instead, and locks and elections may fail",
            metadata: ["zookeeper.reason": "\(error)"])
    }

    /// Tells what became of a watch; the path is the server's.
    func fire(_ sink: WatchSink, _ kind: WatchEvent.Kind, path: String) {
        sink.fire(WatchEvent(kind: kind, path: encoder.stripped(path)))
    }

    // MARK: Own znodes

    func hold(
        _ path: String, czxid: ZXID, session: LiveSession, sureUntil: MonotonicInstant, watchDue: MonotonicInstant
    ) -> HeldNode {
        let (hold, reason) = state.withLock { state -> (HeldNode, LossReason?) in
            let hold = HeldNode(
                path: path, czxid: czxid, session: session, core: self, sureUntil: sureUntil,
                connection: state.connections.establishments, watchDue: watchDue)
            guard state.phase == .idle || state.phase == .running else { return (hold, .clientStopped) }
            guard state.live === session else { return (hold, session.endReason ?? .sessionEnded) }
            state.held.insert(hold)
            return (hold, nil)
        }
        if let reason {
            hold.lose(reason)
        } else {
            if hold.isWatchDue(now: clock.now) { hold.watch() }
            heartbeatWakeUp.signal()
        }
        return hold
    }

    /// Makes a closing client wait until the returned node is released, although it holds nothing yet.
    func reserve(_ path: String, session: LiveSession) -> HeldNode {
        let hold = HeldNode(
            path: path, czxid: ZXID(rawValue: 0), session: session, core: self, sureUntil: .distantPast)
        state.withLock { state in
            guard state.phase != .stopped, state.live === session else { return }
            state.held.reserve(hold)
        }
        return hold
    }

    /// Tries something again after a pause, such as a watch that could not be set though there is a connection.
    ///
    /// Not at all if the client stops first.
    func retryLater(_ retry: @escaping @Sendable () -> Void) {
        let now = clock.now
        state.withLock { state in
            if state.phase != .stopped { state.retries.add(retry, now: now) }
        }
        heartbeatWakeUp.signal()
    }

    /// Servers tell nobody of the end of a znode that they may not read (CVE-2024-23944, mended in 3.8.4 and by Debian), and
    /// refuse to check it in a proof: what is sure now stays, nothing more.
    func warnUnreadable(_ hold: HeldNode) {
        logger(for: hold.session.publicSession).error(
            "An own znode cannot be read, so that what it stands for ends soon: its ACL must let its creator read",
            metadata: ["zookeeper.path": "\(hold.path)"])
    }

    /// An own znode is not valid any more, while its holder may not have let go.
    func removeHold(_ hold: HeldNode) {
        // The caller keeps it, so that it does not end under the lock.
        state.withLock { $0.held.remove(hold) }
    }

    /// An own znode may have a deadline of its own, before that of the session.
    func unsettleHold(_ hold: HeldNode) {
        state.withLock { $0.held.unsettle(hold) }
    }

    /// The session need not live on for the sake of this znode: its holder has let go, or it does not exist any more.
    func forgetHold(_ hold: HeldNode) {
        let mayStop = state.withLock { state in
            state.held.forget(hold)
            return state.phase == .closing
        }
        if mayStop { stopIfDone() }
    }
}
