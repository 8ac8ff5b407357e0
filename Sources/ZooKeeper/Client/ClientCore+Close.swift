internal import Logging
internal import Synchronization
internal import ZooKeeperTransport

/// The work that a closing client waits for before it closes its session.
enum CloseMode: Int, Comparable {
    /// Requests that have been made, for at most one session timeout; then the same as ``afterHolders``.
    case gracefully
    /// The release of all held znodes.
    case afterHolders
    /// No work.
    case atOnce

    static func < (left: CloseMode, right: CloseMode) -> Bool { left.rawValue < right.rawValue }
}

extension ClientCore {
    /// The work that a closing client waits for, with the deadlines.
    struct Closing {
        var mode: CloseMode?
        /// The deadline for requests that have been made.
        var requestsUntil = MonotonicInstant.distantPast
        /// The deadline for locks held through a handle.
        var handlesUntil = MonotonicInstant.distantPast
    }

    /// Closes the client: immediately for its users, and after the last release for its session.
    ///
    /// All grants become invalid, waiting participants fail with `.clientStopped`, and new requests are refused. The
    /// session and its heartbeats continue until every holder has released what it holds. No other client is therefore
    /// granted a lock while an operation under it is still cleaning up. Then the session is closed, which deletes its
    /// remaining ephemeral znodes. Without a connection, the client waits for holders as long as the server may keep
    /// the session, which then expires by itself.
    ///
    /// The method returns immediately; ``run()`` returns when the client is closed. Another call can only shorten the
    /// wait.
    func close(_ mode: CloseMode) {
        let now = clock.now
        let effects = state.withLock { state -> SideEffects? in
            guard state.phase != .stopped else { return nil }
            let isFirst = state.phase != .closing
            if let earlier = state.closing.mode, earlier >= mode { return nil }
            state.phase = .closing
            state.closing.mode = mode
            if isFirst { state.closing.handlesUntil = now + configuration.handleReleaseTimeout }
            let drains = mode == .gracefully && state.isConnected
            state.closing.requestsUntil = drains ? now + (state.live?.timeout ?? configuration.sessionTimeout) : now
            return SideEffects(
                live: isFirst ? state.live : nil,
                lost: isFirst ? state.held.takeHeld() : [],
                watches: isFirst ? state.watches.removeAllWithPaths() : [],
                refused: state.requests.close(drains: drains),
                unreleased: isFirst ? state.held.nodesInUse : [])
        }
        guard let effects else { return }
        effects.live?.markEnded(.clientStopped)
        for hold in effects.lost { hold.lose(.clientStopped) }
        closing.set(())
        for (path, sink) in effects.watches { fire(sink, .sessionEnded, path: path) }
        for request in effects.refused { finish(request, .failure(ZooKeeperError(.clientStopped))) }
        if !effects.unreleased.isEmpty {
            logger(for: effects.live?.publicSession).info(
                "The session will be closed when all held znodes have been released",
                metadata: ["zookeeper.paths": .array(effects.unreleased.map { "\($0.path)" })])
        }
        heartbeatWakeUp.signal()
        stopIfDone()
    }

    /// The actions to perform outside of the lock when the client starts to close, or stops.
    private struct SideEffects {
        var live: SessionHandle?
        var lost: [HeldNode] = []
        var watches: [(path: String, sink: WatchSink)]
        var refused: [PendingRequest]
        var unreleased: [HeldNode]
        /// Released outside of the lock, and not called.
        var calls: [DelayedCalls.Call] = []
    }

    /// Closes the session if there is nothing left to wait for.
    func stopIfDone() {
        if state.withLock({ $0.mayStop(now: clock.now) }) { stop() }
    }

    /// Closes the session now: waiting requests fail, and the server grants what is still held to other clients.
    private func stop() {
        let (effects, isLost) = state.withLock { state -> (SideEffects?, Bool) in
            guard state.phase != .stopped else { return (nil, false) }
            state.phase = .stopped
            defer { state.held.forgetUsers() }
            return (
                SideEffects(
                    live: state.live, watches: state.watches.removeAllWithPaths(),
                    refused: state.requests.end(ZooKeeperError(.clientStopped)), unreleased: state.held.nodesInUse,
                    calls: state.delayedCalls.takeAll()),
                !state.isConnected && state.closing.mode != .atOnce
            )
        }
        guard let effects else { return }
        let (live, unreleased) = (effects.live, effects.unreleased)
        warn(ofUnreleased: unreleased.filter { !$0.isLetGo }, in: live, "a holder has not released its znodes")
        warn(ofUnreleased: unreleased.filter(\.isLetGo), in: live, "the deletion of its znodes was not answered")
        live?.markGone(.clientStopped)
        for (path, sink) in effects.watches { fire(sink, .sessionEnded, path: path) }
        for request in effects.refused { finish(request, .failure(ZooKeeperError(.clientStopped))) }
        // A connection may be established at this moment: it must not end a session while an operation in it is
        // cleaning up.
        decide { $0.stop(keepsSession: isLost && unreleased.contains { !$0.isLetGo }) }
        stopping.set(())
    }
}

extension ClientCore {
    private func warn(ofUnreleased holds: [HeldNode], in session: SessionHandle?, _ why: String) {
        guard !holds.isEmpty else { return }
        logger(for: session?.publicSession).warning(
            "The session is closed although \(why)",
            metadata: ["zookeeper.paths": .array(Set(names: holds.map(\.path)).sorted().strings.map { "\($0)" })])
    }
}

extension ClientCore.State {
    /// Returns whether a closing client has nothing left to wait for.
    func mayStop(now: MonotonicInstant) -> Bool {
        guard phase == .closing else { return false }
        if closing.mode == .atOnce { return true }
        guard requests.isDrained || closing.requestsUntil <= now else { return false }
        return !awaitsHolders(now: now)
    }

    /// Returns the time when a closing client checks again whether it may stop, if nothing happens before.
    func nextStopCheck(now: MonotonicInstant) -> MonotonicInstant? {
        guard phase == .closing else { return nil }
        let deadlines = [closing.requestsUntil, closing.handlesUntil, isConnected ? .distantPast : sessionMayEndAt]
        return deadlines.filter { $0 > now }.min()
    }

    private func awaitsHolders(now: MonotonicInstant) -> Bool {
        guard live != nil, isConnected || now < sessionMayEndAt else { return false }
        return held.isInUse(now: now, handlesUntil: closing.handlesUntil)
    }

    /// The time when the server expires the session if it receives nothing more from the client.
    ///
    /// Attempts to reconnect do not count: they continue as long as the client runs.
    private var sessionMayEndAt: MonotonicInstant { connections.aliveAt + validity.timeout }
}
