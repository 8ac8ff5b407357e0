internal import Logging
internal import ZooKeeper

// Draining a gate, and reopening it if the window ends before the gate has drained.
extension GateLoop {
    /// The time for which a gate drains before it checks whether the signal still exists; short events save the
    /// request.
    private static let lookDelay = Duration.milliseconds(100)

    /// Waits until no event is inside, and reports the events it waits for if that takes long.
    ///
    /// If the gate may reopen, it watches the signal meanwhile: see ``reopen(_:)``.
    mutating func drain(mayReopen: Bool) async -> GateStateMachine.Event {
        // The interrupt that leads here has closed the gate. An open gate must never lose its read znode.
        if let grant { gate.handle(.signalled(grant.number)) }
        if grant?.hold.lossReason == nil { gate.broadcast.send(.draining) }
        let clock = gate.clock
        let began = clock.now
        var reportAt = began + mode.configuration.drainReportDelay
        var lookAt = mayReopen ? began + Self.lookDelay : nil
        var look: SignalLook?
        while gate.counter.total > 0 {
            await gate.core.drainWakeUp.wait(
                until: min(reportAt, look == nil ? lookAt ?? reportAt : reportAt), clock: clock)
            let now = clock.now
            switch look?.sight {
            case nil: break
            case .gone:
                if reopen(look) { return .signalGone }
                (look, lookAt) = (nil, nil)
            case .held: (look, lookAt) = (nil, nil)
            case .changed: (look, lookAt) = (nil, now)
            case .failed(let error):
                note(error)
                (look, lookAt) = (nil, now + backoff.pause())
            case .sessionEnded: (look, lookAt) = (nil, nil)
            }
            if look == nil, let at = lookAt, at <= now { look = startLook() }
            guard now >= reportAt, gate.counter.total > 0 else { continue }
            reportDraining(now: now)
            reportAt = now + .seconds(1)
            // Servers do not notify about the deletion of a znode without permission to read it (CVE-2024-23944). A new
            // check detects it.
            if look?.isAnswered == true { look = startLook() }
        }
        if mayReopen { mode.client.recipeMetrics.gateDrained(after: clock.now - began) }
        return .drained
    }

    private mutating func startLook() -> SignalLook? {
        guard let session else { return nil }
        let look = SignalLook(session, of: mode, wakes: gate.core.drainWakeUp)
        watch(look.watch)
        return look
    }

    /// Admits events again with the same read znode, after a check has found no signal and has set a watch for the next
    /// one.
    ///
    /// No window can have opened meanwhile, and none can open unnoticed, because every window waits for the znodes
    /// ahead of its own. The read znode was created before the signal that closed this gate, and its deletion has not
    /// been sent. All write znodes created since then are behind it, including those of later signals.
    ///
    /// A signal that is created after the check triggers the watch, which closes the gate again. A signal that is
    /// created after the end of an earlier one and before the check is found by the check. If another client has
    /// deleted the read znode, the grant is lost and the gate does not reopen. If the deletion has not been noticed
    /// yet, the deadline protects the events as in any open gate.
    private mutating func reopen(_ look: SignalLook?) -> Bool {
        guard let look, let grant, grant.hold.lossReason == nil, gate.stopping.value == nil else { return false }
        gate.logger.info("The window ended before it opened: the gate opens again")
        let again = gate.prepare(grant.hold)
        self.grant = again
        gate.close(again, on: look.watch)
        return true
    }

    private mutating func reportDraining(now: MonotonicInstant) {
        guard let session, let node else { return }
        let text = report(session, now: now)
        openReport = .reopened
        gate.logger.info(
            "Still draining", metadata: ["inside": "\(text.inside ?? 0)", "oldest": "\(text.oldest ?? .zero)"])
        session.post(.setData(path: node, data: text.bytes))
    }

    func report(_ session: SessionHandle, now: MonotonicInstant) -> ProcessorRecord {
        var text = processor(session)
        text.inside = gate.counter.total
        text.oldest = gate.counter.oldest.map { .nanoseconds(now.nanoseconds - $0) }
        return text
    }
}

/// A check for the signal by a draining gate, with the watch that the check sets.
final class SignalLook: Sendable {
    enum Sight {
        /// No signal exists; the watch fires when the next one is created.
        case gone
        /// No signal exists, but a hold that began during a window that crashed: the gate must not open again.
        case held
        /// A signal existed; since then it was changed or deleted, or the watch was lost.
        case changed
        case failed(ZooKeeperError)
        case sessionEnded
    }

    let watch: OneShotWatch
    private let answer = OneShot<SessionResult>()
    /// The children of `BASE/windows`, as listed after the check for the signal: each hold that begins later creates a
    /// signal, or there is another window.
    private let listing = OneShot<SessionResult>()

    /// Sends the check; its answer, and later the watch's event, wake the loop.
    init(_ session: SessionHandle, of mode: ExclusiveMode, wakes loop: WakeUp) {
        watch = OneShotWatch(mode.client, path: mode.signalPath) { _ in loop.signal() }
        let batch = RequestBatch()
        session.post(.exists(path: watch.path, watch: watch.sink), batch: batch) { [answer] in answer.set($0) }
        session.post(.children(path: mode.windowsPath), batch: batch) { [listing] in
            listing.set($0)
            loop.signal()
        }
    }

    var isAnswered: Bool { answer.value != nil && listing.value != nil }

    /// The result of the check; `nil` while there is no answer, and while the signal is unchanged.
    var sight: Sight? {
        guard let listing = listing.value else { return nil }
        return switch answer.value {
        case .failure(let error) where error.code == .noNode: Self.sight(withoutSignal: listing)
        case .failure(let error) where [.sessionExpired, .clientStopped].contains(error.code): .sessionEnded
        case .failure(let error): .failed(error)
        case .success: watch.event.value.map { $0.kind == .sessionEnded ? .sessionEnded : .changed }
        case nil: nil
        }
    }

    private static func sight(withoutSignal listing: SessionResult) -> Sight {
        switch listing {
        case .failure(let error) where [.sessionExpired, .clientStopped].contains(error.code): .sessionEnded
        case .failure(let error) where error.isTransient: .failed(error)
        default: listing.showsHold ? .held : .gone
        }
    }
}
