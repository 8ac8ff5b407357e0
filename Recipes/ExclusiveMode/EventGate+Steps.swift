internal import Logging
internal import ZooKeeper

/// A watch on the signal znode, and its event.
final class SignalWatch: Sendable {
    let event = OneShot<WatchEvent>()
    let sink: WatchSink
    private let session: LiveSession
    private let path: String
    private let kind: WatchedKind

    /// - Parameter path: The signal, or its parent where the children are watched.
    init(_ session: LiveSession, path: String, kind: WatchedKind = .data) {
        self.session = session
        self.path = path
        self.kind = kind
        sink = WatchSink { [event] in event.set($0) }
    }

    /// Gives the watch up; when its event has come, or it was never set, nothing is sent.
    func giveUp() {
        session.giveUp(sink, at: path, kind: kind)
    }
}

/// What a look at the signal showed.
enum SignalSight { case stands, gone, sessionEnded }

// What is sent to the ensemble.
extension GateLoop {
    /// Creates the read znode and looks for the signal after that, in one flight.
    ///
    /// Every window creates its signal no later than its write znode. So if the look, which the ensemble evaluates after
    /// the create, shows no signal, any window's znode has a higher number than the read znode, and waits for it.
    mutating func enter() async -> GateStateMachine.Event {
        guard let session, !session.hasEnded else { return .sessionEnded }
        let uuid = gate.member.makeUUID(using: mode.client.randomness)
        let base = "\(mode.locksPath)/\(ContenderName.base(uuid: uuid, kind: .read))"
        let watch = SignalWatch(session, path: mode.signalPath)
        var requests: [SessionRequest] = [
            .create(path: base, data: processor(session).bytes, mode: .ephemeralSequential),
            .exists(path: mode.signalPath, watch: watch.sink),
            .data(path: mode.windowsPath),
        ]
        if memberEpoch != session.epoch {
            requests.append(memberCreation(session))
        }
        let flight = requests
        guard let results = await unlessAbandoned({ try await session.flight(flight) }) else {
            watch.giveUp()
            session.cleanUp(.prefix(ContenderName.prefix(uuid: uuid), parent: mode.locksPath))
            return .enterFailed
        }
        if results.count > 3 { await joinMembers(results[3], session) }
        return await entered(results, uuid: uuid, watch: watch, session: session)
    }

    private var memberPath: String { "\(mode.membersPath)/\(gate.member.node)" }

    private func memberCreation(_ session: LiveSession) -> SessionRequest {
        .create(path: memberPath, data: processor(session).bytes, mode: .ephemeral)
    }

    /// A gate that has ended is no processor any more, however long its client lives.
    func leaveMembers() async {
        guard let session, !session.isGone else { return }
        await session.cleanUpWhileConnected(.node(path: memberPath))
    }

    /// The directory of the members is a container: the server may have removed it since the last processor left.
    private mutating func joinMembers(_ result: SessionResult, _ session: LiveSession) async {
        var result = result
        if case .failure(let error) = result, error.code == .noNode {
            let (client, path, creation) = (mode.client, memberPath, memberCreation(session))
            let again = await unlessAbandoned {
                try await client.createParents(of: path)
                return try await session.flight(creation)
            }
            result = again?[0] ?? result
        }
        if case .success = result { memberEpoch = session.epoch }
    }

    private mutating func entered(
        _ results: [SessionResult], uuid: String, watch: SignalWatch, session: LiveSession
    ) async -> GateStateMachine.Event {
        let created: (path: String, stat: ZNodeStat)
        do {
            created = try results[0].get().created
        } catch {
            return await enterFailed(error, uuid: uuid, watch: watch, session: session)
        }
        guard ContenderName(ZNodePath.name(of: created.path))?.isBeyondTheLimit != true else {
            watch.giveUp()
            await session.cleanUpWhileConnected(.node(path: created.path))
            failure = mode.numbersExhausted
            return .forbidden
        }
        node = created.path
        openReport = nil
        let grant = GateGrant(hold: session.hold(created.path, czxid: created.stat.czxid))
        self.grant = grant
        gate.prepare(grant)
        switch results[1] {
        case .failure(let error) where error.code == .noNode:
            self.watch(watch)
            gate.close(grant, on: watch)
            return .entered(lastWindowCrashed: lastWindowCrashed(await records(results[2], session)))
        case .failure(let error):
            watch.giveUp()
            note(error)
            return .enteredUnderSignal
        case .success:
            // The watch that is set now would only tell of the end, which `leave` looks for by itself.
            watch.giveUp()
            return .enteredUnderSignal
        }
    }

    /// The records of the last windows: read again if the answer was lost with its connection, which is no sign of a crash.
    private mutating func records(_ result: SessionResult, _ session: LiveSession) async -> SessionResult {
        var result = result
        while expectedRecord != nil, case .failure(let error) = result, error.isPassing, !session.hasEnded {
            let windowsPath = mode.windowsPath
            guard await backOff() != .stopped else { break }
            let again = await unlessAbandoned { try await session.flight(.data(path: windowsPath)) }
            guard let again else { break }
            result = again[0]
        }
        return result
    }

    private mutating func enterFailed(
        _ error: any Error, uuid: String, watch: SignalWatch, session: LiveSession
    ) async -> GateStateMachine.Event {
        watch.giveUp()
        guard let error = error as? ZooKeeperError else { return .enterFailed }
        switch error.code {
        case .sessionExpired: return .sessionEnded
        case .noAuth, .clientStopped, .authenticationFailed, .invalidACL, .dataTooLarge:
            failure = error
            return .forbidden
        case .noNode:
            do {
                try await mode.createStructure()
            } catch let error as ZooKeeperError where error.code == .noAuth || error.code == .noNode {
                failure = error
                return .forbidden
            } catch {
                return .enterFailed
            }
        default: break
        }
        if error.isOutcomeUnknown {
            session.cleanUp(.prefix(ContenderName.prefix(uuid: uuid), parent: mode.locksPath))
        }
        gate.logger.debug("Cannot enter the exclusive mode", metadata: ["error": "\(error)"])
        return .enterFailed
    }

    /// Takes up a watch in place of the one before, which is given up.
    mutating func watch(_ next: SignalWatch?) {
        signal?.giveUp()
        signal = next
    }

    /// Keeps the signal watched while the gate is open or recovers, until cancelled or until the gate must shut.
    ///
    /// A watch that was lost with its connection is set again. While nobody watches no window can open: it waits for the
    /// read znode, which exists.
    ///
    /// - Returns: The watch that is set in the end.
    func follow(_ first: SignalWatch?, for grant: GateGrant) async -> SignalWatch? {
        var current = first
        while true {
            if let watch = current {
                guard let event = try? await watch.event.wait() else { return watch }
                guard event.isInterrupted else { return nil }
            }
            current = await watchAgain(for: grant)
            if current == nil { return nil }
        }
    }

    private func watchAgain(for grant: GateGrant) async -> SignalWatch? {
        let (clock, signalPath) = (gate.clock, mode.signalPath)
        var backoff = Self.makeBackoff(gate)
        while !grant.session.hasEnded {
            let watch = SignalWatch(grant.session, path: signalPath)
            gate.close(grant, on: watch)
            let result = try? await grant.session.flight(.exists(path: signalPath, watch: watch.sink))[0]
            if case .failure(let error) = result, error.code == .noNode { return watch }
            watch.giveUp()
            switch result {
            case nil: return nil
            case .success: gate.close(grant, .signalled)
            case .failure(let error): note(error)
            }
            guard grant.interrupt.value == nil else { return nil }
            guard (try? await clock.sleep(until: clock.now + backoff.pause())) != nil else { return nil }
        }
        return nil
    }

    /// What cannot be asked or watched is tried again after a pause; the reason is told.
    private func note(_ error: ZooKeeperError) {
        guard !error.isPassing, error.code != .clientStopped else { return }
        gate.logger.warning(
            "The gate cannot watch the signal, and tries again after a pause",
            metadata: ["zookeeper.path": "\(mode.signalPath)", "error": "\(error)"])
    }

    /// Whether the window that this gate paused for has ended without leaving its record.
    ///
    /// Such a window is remembered until the gate has waited for its sake: a loss in the meantime begins the wait anew.
    private mutating func lastWindowCrashed(_ records: SessionResult) -> Bool {
        guard let expected = expectedRecord else { return false }
        guard case .success(.data(let data, _)) = records else { return true }
        // A later window's record tells as much: few are kept, and this gate may have been away for many.
        let ended = WindowRecord.list(data).filter { $0.outcome != .forcing }
        guard ended.contains(where: { $0.id == expected.id || $0.token > expected.token }) else { return true }
        expectedRecord = nil
        return false
    }

    /// How long a gate drains before it looks whether the signal is still there: quick events save the request.
    private static let lookDelay = Duration.milliseconds(100)

    /// Waits until nobody is inside, and reports what it waits for when that takes long.
    ///
    /// Where it may reopen it watches the signal meanwhile: see ``reopen(_:)``.
    mutating func drain(mayReopen: Bool) async -> GateStateMachine.Event {
        if let grant { gate.shut(grant) }
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
        let look = SignalLook(session, path: mode.signalPath, wakes: gate.drainWakeUp)
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
        let again = GateGrant(hold: grant.hold)
        self.grant = again
        gate.prepare(again)
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

    /// Operators see why the gate stays shut.
    mutating func reportRecovering() {
        guard let session, let node, mode.configuration.resumeDelay > .zero else { return }
        var text = processor(session)
        text.state = .recovering
        openReport = .recovered
        session.post(.setData(path: node, data: text.bytes))
    }

    /// Replaces the report of a gate that drained or recovered; says whether that is done.
    func reportOpen(_ state: ProcessorText.State) async -> Bool {
        guard let session, let node else { return true }
        let clock = gate.clock
        var text = state == .reopened ? report(session, now: clock.now) : processor(session)
        text.state = state
        let bytes = text.bytes
        var backoff = Self.makeBackoff(gate)
        while !session.hasEnded {
            guard let result = try? await session.flight(.setData(path: node, data: bytes))[0] else { return false }
            switch result {
            case .success: return true
            case .failure(let error) where error.code == .noNode: return true
            case .failure: break
            }
            guard (try? await clock.sleep(until: clock.now + backoff.pause())) != nil else { return false }
        }
        return true
    }

    private func report(_ session: LiveSession, now: MonotonicInstant) -> ProcessorText {
        var text = processor(session)
        text.inside = gate.counter.total
        text.oldest = gate.counter.busySince.map { .nanoseconds(now.nanoseconds - $0) }
        return text
    }

    /// Deletes the read znode, which acknowledges the pause, and reads the signal with a watch, in one flight.
    mutating func leave() async -> GateStateMachine.Event {
        grant?.hold.release()
        guard let session, let node, !session.isGone else { return .sessionEnded }
        let signalPath = mode.signalPath
        let watch = SignalWatch(session, path: signalPath)
        let results = await unlessAbandoned {
            try await session.flight(.delete(path: node), .data(path: signalPath, watch: watch.sink))
        }
        if results?[0].isGone != true {
            // Lost with its connection: repeated until it is certain, before anything else.
            let deletion = session.cleanUp(.node(path: node))
            _ = await unlessAbandoned { try await deletion.wait() }
        }
        self.node = nil
        if session.hasEnded { return .sessionEnded }
        switch results?[1] {
        case .success(.data(let data, let stat)):
            noteSignal(data, stat, watch: watch)
            return .left(signalStands: true)
        case .failure(let error) where error.code == .noNode:
            self.watch(nil)
            return .left(signalStands: false)
        default:
            watch.giveUp()
            switch await look(session) {
            case .stands: return .left(signalStands: true)
            case .gone: return .left(signalStands: false)
            case .sessionEnded: return .sessionEnded
            }
        }
    }

    /// Reads the signal and watches it, until there is an answer.
    mutating func look(_ session: LiveSession) async -> SignalSight {
        let signalPath = mode.signalPath
        while !session.hasEnded {
            let watch = SignalWatch(session, path: signalPath)
            let results = await unlessAbandoned {
                try await session.flight(.data(path: signalPath, watch: watch.sink))
            }
            switch results?[0] {
            case .success(.data(let data, let stat)):
                noteSignal(data, stat, watch: watch)
                return .stands
            case .failure(let error) where error.code == .noNode: return .gone
            case .failure(let error) where error.code == .noAuth:
                if let sight = await lookWithoutReading(session) { return sight }
            case .failure(let error): note(error)
            default: break
            }
            watch.giveUp()
            // Given up for the gate's stop, which comes next.
            guard results != nil, await backOff() != .stopped else { return .gone }
        }
        return .sessionEnded
    }

    /// Servers tell nobody of the end of a znode that they may not read (CVE-2024-23944); its parent tells it.
    ///
    /// - Returns: `nil` when there was no answer.
    private mutating func lookWithoutReading(_ session: LiveSession) async -> SignalSight? {
        let (path, name) = (mode.path, ZNodePath.name(of: mode.signalPath))
        let watch = SignalWatch(session, path: path, kind: .children)
        let result = await unlessAbandoned {
            try await session.flight(.children(path: path, watch: watch.sink))
        }?[0]
        switch result {
        case .success(.children(let names, _)):
            self.watch(watch)
            backoff.reset()
            return names.containsBytes(of: name) ? .stands : .gone
        case .failure(let error) where error.code == .noNode: return .gone
        case nil:
            watch.giveUp()
            return .gone
        case .failure(let error):
            note(error)
            return nil
        default: return nil
        }
    }

    private mutating func noteSignal(_ data: [UInt8], _ stat: ZNodeStat, watch: SignalWatch) {
        self.watch(watch)
        backoff.reset()
        let text = SignalText(data)
        guard text.keepsRecords else { return }
        expectedRecord = (text.id, FencingToken(rawValue: stat.czxid.rawValue))
    }

    private func processor(_ session: LiveSession) -> ProcessorText {
        ProcessorText(member: gate.member.node, name: gate.name, sessionTimeout: session.timeout)
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

    let watch: SignalWatch
    private let answer = OneShot<SessionResult>()

    /// Sends the look; the answer, and then the watch's event, wake the loop.
    init(_ session: LiveSession, path: String, wakes loop: WakeUp) {
        watch = SignalWatch(session, path: path)
        watch.event.observe { _ in loop.signal() }
        session.post(.exists(path: path, watch: watch.sink)) { [answer] in
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
        case .success: watch.event.value.map { $0.isSessionEnded ? .sessionEnded : .changed }
        case nil: nil
        }
    }
}

extension EventGate {
    /// Has the signal's creation shut the gate, on the thread that delivers it.
    func close(_ grant: GateGrant, on watch: SignalWatch) {
        watch.event.observe { [weak self] event in
            if !event.isInterrupted, !event.isSessionEnded { self?.close(grant, .signalled) }
        }
    }
}

extension SessionResult {
    /// Whether a znode that was to be deleted is surely not there.
    var isGone: Bool {
        switch self {
        case .success: true
        case .failure(let error): error.code == .noNode
        }
    }
}
