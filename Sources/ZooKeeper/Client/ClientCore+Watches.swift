internal import Logging
internal import Synchronization
internal import ZooKeeperTransport

extension ClientCore {
    /// Removes a watch that no party waits for any more.
    func giveUp(_ sink: WatchSink, path: String, kind: WatchedKind) {
        guard let full = try? encoder.full(path) else { return }
        let key = WatchTable.Key(path: full, kind: kind.transport)
        if state.withLock({ $0.watches.giveUp(key, sink: sink) }) { removeWatch(key) }
    }

    /// Removes a watch on the server.
    ///
    /// The request is queued like every other one. It can therefore neither overtake a read that set the watch, nor
    /// follow unnoticed a read that sets it again. If it is lost with its connection, it is sent on the next one.
    func removeWatch(_ key: WatchTable.Key) {
        let isDue = state.withLock { state -> Bool in
            guard let live = state.live, state.phase != .stopped, !state.watches.isWanted(key) else { return false }
            state.watches.willLeave(key)
            state.requests.append(removal(of: key, epoch: live.epoch))
            return true
        }
        if isDue { pump() }
    }

    /// Returns the request that removes a watch on the server.
    func removal(of key: WatchTable.Key, epoch: Int) -> Outgoing {
        let kind: WatchedKind = key.kind == .data ? .data : .children
        let request = SessionRequest.unwatch(path: encoder.stripped(key.path), kind)
        let pending = PendingRequest(request, epoch: epoch, created: clock.now) { [weak self] result in
            guard case .failure(let error) = result, error.isOutcomeUnknown else { return }
            self?.removeWatch(key)
        }
        return Outgoing(pending: pending, encoded: .removeWatches(path: key.path, kind: key.kind))
    }

    /// Logs that a session has no room for a watch: once, because the party that needs the watch keeps trying.
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

    /// Delivers the event of a watch; the path is the server's.
    func fire(_ sink: WatchSink, _ kind: WatchEvent.Kind, path: String) {
        sink.fire(WatchEvent(kind: kind, path: encoder.stripped(path)))
    }

    // MARK: Held znodes

    func hold(
        _ path: String, czxid: ZXID, session: SessionHandle, sureUntil: MonotonicInstant, watchDue: MonotonicInstant
    ) -> HeldNode {
        let (hold, reason, mustWake) = state.withLock { state -> (HeldNode, LossReason?, Bool) in
            let hold = HeldNode(
                path: path, czxid: czxid, session: session, core: self, sureUntil: sureUntil,
                connection: state.connections.establishments, watchDue: watchDue)
            guard state.phase == .idle || state.phase == .running else { return (hold, .clientStopped, false) }
            guard state.live === session else { return (hold, session.endReason ?? .sessionEnded, false) }
            state.held.insert(hold)
            return (hold, nil, state.mustWake(for: hold, now: clock.now))
        }
        if let reason {
            hold.lose(reason)
        } else {
            if hold.isWatchDue(now: clock.now) { hold.watch() }
            if mustWake { heartbeatWakeUp.signal() }
        }
        return hold
    }

    /// Makes a closing client wait until the returned node is released, although no grant depends on it yet.
    func reserve(_ path: String, session: SessionHandle) -> HeldNode {
        let hold = HeldNode(
            path: path, czxid: ZXID(rawValue: 0), session: session, core: self, sureUntil: .distantPast)
        state.withLock { state in
            guard state.phase != .stopped, state.live === session else { return }
            state.held.reserve(hold)
        }
        return hold
    }

    /// Retries something after a pause, such as setting a watch that could not be set although there is a connection.
    ///
    /// If the client stops first, it is not retried.
    func retryLater(_ retry: @escaping @Sendable () -> Void) {
        call(after: .milliseconds(100), retry)
    }

    /// Calls a closure after a pause, on the thread of the heartbeats.
    ///
    /// If the client stops first, it is not called.
    func call(after delay: Duration, _ call: @escaping @Sendable () -> Void) {
        let instant = clock.now + delay
        let mustWake = state.withLock { state in
            guard state.phase != .stopped else { return false }
            state.delayedCalls.add(call, at: instant)
            return state.heartbeat.mustWake(for: instant)
        }
        if mustWake { heartbeatWakeUp.signal() }
    }

    /// Logs that a held znode cannot be read.
    ///
    /// Servers do not notify a client about the deletion of a znode that it has no permission to read (CVE-2024-23944,
    /// fixed in 3.8.4 and by Debian), and refuse to check it. The current validity remains, but is not extended.
    func warnUnreadable(_ hold: HeldNode) {
        logger(for: hold.session.publicSession).error(
            "A held znode cannot be read and will soon be invalid: its ACL must allow its creator to read it",
            metadata: ["zookeeper.path": "\(hold.path)"])
    }

    /// Records that a held znode is no longer valid; its holder may not have released it yet.
    func removeHold(_ hold: HeldNode) {
        // The caller keeps a reference to it, so that it is not deallocated under the lock.
        state.withLock { $0.held.remove(hold) }
    }

    /// Records that a held znode may have its own deadline, before that of the session.
    func unsettleHold(_ hold: HeldNode) {
        state.withLock { $0.held.unsettle(hold) }
    }

    /// Records that the session is not needed for this znode any more: its holder has released it, or it does not exist
    /// any more.
    func forgetHold(_ hold: HeldNode) {
        let mayStop = state.withLock { state in
            state.held.forget(hold)
            return state.phase == .closing
        }
        if mayStop { stopIfDone() }
    }
}
