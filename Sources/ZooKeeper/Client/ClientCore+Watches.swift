internal import Synchronization
internal import ZooKeeperBridge

extension ClientCore {
    /// Nobody waits for this watch any more.
    func giveUp(_ sink: WatchSink, path: String, kind: WatchedKind) {
        guard let full = try? encoder.full(path) else { return }
        let key = WatchTable.Key(path: full, kind: kind == .data ? .data : .children)
        let unwatched = state.withLock { $0.watches.giveUp(key, sink: sink) }
        if let unwatched { removeWatch(unwatched) }
    }

    /// Takes a watch away at the server; without a connection that is done on the next one.
    func removeWatch(_ key: WatchTable.Key) {
        let target = state.withLock { state -> (any TransportConnection, Int)? in
            guard state.isConnected, let connection = state.connection else {
                state.watches.addOrphan(key)
                return nil
            }
            state.inFlight += 1
            return (connection, state.connectionNumber)
        }
        guard let (connection, number) = target else { return }
        connection.submit(.removeWatches(path: key.path, kind: key.kind)) { [self] reply in
            removed(key, reply: reply, connectionNumber: number)
        }
    }

    private func removed(_ key: WatchTable.Key, reply: TransportReply, connectionNumber: Int) {
        let isLost = ZooKeeperError(serverCode: reply.code, path: nil).isOutcomeUnknown
        let isDrained = state.withLock { state in
            state.inFlight -= 1
            if isLost, reply.code != 0, connectionNumber == state.connectionNumber { state.watches.addOrphan(key) }
            return state.phase == .draining && state.isDrained
        }
        pump()
        if isDrained { drained.set(()) }
    }

    // MARK: Own znodes

    func hold(_ path: String, czxid: ZXID, session: LiveSession, watchDue: MonotonicInstant) -> HeldNode {
        let hold = HeldNode(path: path, czxid: czxid, session: session, core: self, watchDue: watchDue)
        let reason = state.withLock { state -> LossReason? in
            guard state.live === session else { return session.endReason ?? .sessionEnded }
            state.holds[ObjectIdentifier(hold)] = hold
            return nil
        }
        if let reason {
            hold.lose(reason)
        } else {
            if hold.isWatchDue(now: clock.now) { hold.watch() }
            heartbeatWakeUp.signal()
        }
        return hold
    }

    func removeHold(_ hold: HeldNode) {
        state.withLock { _ = $0.holds.removeValue(forKey: ObjectIdentifier(hold)) }
    }
}
