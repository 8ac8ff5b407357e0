internal import Logging
internal import ZooKeeper

// How a gate drains, and opens again if the window is given up before it has.
extension GateLoop {
    /// How long a gate drains before it looks whether the signal is still there: quick events save the request.
    private static let lookDelay = Duration.milliseconds(100)

    /// Waits until nobody is inside, and reports what it waits for when that takes long.
    ///
    /// Where it may reopen it watches the signal meanwhile: see ``reopen(_:)``.
    mutating func drain(mayReopen: Bool) async -> GateStateMachine.Event {
        // The interrupt that leads here has closed the gate; an open one must not lose its read znode in any case.
        if let grant { gate.handle(.signalled(grant.number)) }
        if grant?.hold.lossReason == nil { gate.broadcast.send(.draining) }
        let clock = gate.clock
        let began = clock.now
        var reportAt = began + mode.configuration.drainReportDelay
        var lookAt = mayReopen ? began + Self.lookDelay : nil
        var look: SignalLook?
        while gate.counter.total > 0 {
            await gate.drainWakeUp.wait(until: min(reportAt, look == nil ? lookAt ?? reportAt : reportAt), clock: clock)
            let now = clock.now
            switch look?.sight {
            case nil: break
            case .gone:
                if reopen(look) { return .signalGone }
                (look, lookAt) = (nil, nil)
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
            // Servers tell nobody of the end of a znode that they may not read (CVE-2024-23944): a new look tells it.
            if look?.isAnswered == true { look = startLook() }
        }
        return .drained
    }

    private mutating func startLook() -> SignalLook? {
        guard let session else { return nil }
        let look = SignalLook(session, of: mode, wakes: gate.drainWakeUp)
        watch(look.watch)
        return look
    }

    /// Lets events in again with the read znode of before, after a look has found no signal and set a watch for the next.
    ///
    /// No window can have opened meanwhile, and none can open unnoticed: every window waits for the znodes in front of its
    /// own. The read znode was created before the signal that this gate closed for, and its deletion has not been sent, so
    /// all write znodes since then are behind it, those of later signals as well. A signal that comes after the look fires
    /// the watch, which closes the gate again; one that was created between an earlier one's end and the look is found by
    /// it. If the znode has been deleted by somebody, the grant is lost and the gate does not reopen; if that is not known
    /// yet, the deadline protects the events as in any open gate.
    private mutating func reopen(_ look: SignalLook?) -> Bool {
        guard let look, let grant, grant.hold.lossReason == nil, gate.stopping.value == nil else { return false }
        gate.logger.info("The window was given up: the gate opens again")
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

    func report(_ session: LiveSession, now: MonotonicInstant) -> ProcessorRecord {
        var text = processor(session)
        text.inside = gate.counter.total
        text.oldest = gate.counter.busySince.map { .nanoseconds(now.nanoseconds - $0) }
        return text
    }
}

/// A look at the signal by a gate that drains, and the watch that it sets.
final class SignalLook: Sendable {
    enum Sight {
        /// There is no signal; the watch fires when the next one is created.
        case gone
        /// There was one; since then it has changed or gone, or the watch was lost.
        case changed
        case failed(ZooKeeperError)
        case sessionEnded
    }

    let watch: OneShotWatch
    private let answer = OneShot<SessionResult>()

    /// Sends the look; the answer, and then the watch's event, wake the loop.
    init(_ session: LiveSession, of mode: ExclusiveMode, wakes loop: WakeUp) {
        watch = OneShotWatch(mode.client, path: mode.signalPath) { _ in loop.signal() }
        session.post(.exists(path: watch.path, watch: watch.sink)) { [answer] in
            answer.set($0)
            loop.signal()
        }
    }

    var isAnswered: Bool { answer.value != nil }

    /// What has been seen; `nil` without an answer, and while the signal stays as it was.
    var sight: Sight? {
        switch answer.value {
        case .failure(let error) where error.code == .noNode: .gone
        case .failure(let error) where [.sessionExpired, .clientStopped].contains(error.code): .sessionEnded
        case .failure(let error): .failed(error)
        case .success: watch.event.value.map { $0.kind == .sessionEnded ? .sessionEnded : .changed }
        case nil: nil
        }
    }
}
