internal import Logging
internal import ZooKeeper

/// A watch on the signal znode, and what it sees.
final class SignalWatch: Sendable {
    let event = OneShot<WatchEvent>()
    let sink: WatchSink

    init() {
        sink = WatchSink { [event] in event.set($0) }
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
        let watch = SignalWatch()
        var requests: [SessionRequest] = [
            .create(path: base, data: processor(session).bytes, mode: .ephemeralSequential),
            .exists(path: mode.signalPath, watch: watch.sink),
            .data(path: mode.windowsPath),
        ]
        if memberEpoch != session.epoch {
            let path = "\(mode.membersPath)/\(gate.member.node)"
            requests.append(.create(path: path, data: processor(session).bytes, mode: .ephemeral))
        }
        let flight = requests
        guard let results = await unlessAbandoned({ try await session.flight(flight) }) else {
            session.cleanUp(.prefix(ContenderName.prefix(uuid: uuid), parent: mode.locksPath))
            return .enterFailed
        }
        if results.count > 3, case .success = results[3] { memberEpoch = session.epoch }
        return await entered(results, uuid: uuid, watch: watch, session: session)
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
        node = created.path
        let interrupt = OneShot<GateGrant.Interrupt>()
        let grant = GateGrant(hold: session.hold(created.path, czxid: created.stat.czxid), interrupt: interrupt)
        self.grant = grant
        gate.prepare(grant)
        switch results[1] {
        case .success:
            // The watch that is set now would only tell of the end, which `leave` looks for by itself.
            session.giveUp(watch.sink, at: mode.signalPath, kind: .data)
            return .enteredUnderSignal
        case .failure(let error) where error.code == .noNode:
            signal = watch
            follow(watch, for: grant)
            return .entered(lastWindowCrashed: lastWindowCrashed(results[2]))
        case .failure:
            return .enteredUnderSignal
        }
    }

    private mutating func enterFailed(
        _ error: any Error, uuid: String, watch: SignalWatch, session: LiveSession
    ) async -> GateStateMachine.Event {
        session.giveUp(watch.sink, at: mode.signalPath, kind: .data)
        guard let error = error as? ZooKeeperError else { return .enterFailed }
        switch error.code {
        case .sessionExpired: return .sessionEnded
        case .noAuth, .clientStopped, .authenticationFailed, .invalidACL:
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

    /// The signal's creation shuts the gate on the thread that delivers it; a lost watch is set again.
    private func follow(_ watch: SignalWatch, for grant: GateGrant) {
        watch.event.observe { [gate] event in
            if event.isInterrupted {
                Self.followAgain(gate: gate, grant: grant)
            } else if !event.isSessionEnded {
                gate.close(grant, .signalled)
            }
        }
    }

    /// While nobody watches no window can open: it waits for the read znode, which stands.
    private static func followAgain(gate: EventGate, grant: GateGrant) {
        guard !grant.session.hasEnded else { return }
        let watch = SignalWatch()
        grant.session.post(.exists(path: gate.mode.signalPath, watch: watch.sink)) { result in
            switch result {
            case .success: gate.close(grant, .signalled)
            case .failure(let error) where error.code == .noNode: break
            case .failure(let error) where error.code == .sessionExpired || error.code == .clientStopped: break
            case .failure: followAgain(gate: gate, grant: grant)
            }
        }
        watch.event.observe { event in
            if event.isInterrupted {
                followAgain(gate: gate, grant: grant)
            } else if !event.isSessionEnded {
                gate.close(grant, .signalled)
            }
        }
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

    /// Waits until nobody is inside, and says what it waits for when that takes long.
    mutating func drain() async -> GateStateMachine.Event {
        if let grant { gate.shut(grant) }
        if grant?.hold.lossReason == nil { gate.broadcast.send(.draining) }
        let clock = gate.clock
        let began = clock.now
        var reportAt = began + mode.configuration.drainReportDelay
        while gate.counter.total > 0 {
            await gate.drainWakeUp.wait(until: reportAt, clock: clock)
            let now = clock.now
            guard now >= reportAt, gate.counter.total > 0 else { continue }
            report(now: now)
            reportAt = now + .seconds(1)
        }
        return .drained
    }

    private func report(now: MonotonicInstant) {
        guard let session, let node else { return }
        var text = processor(session)
        text.inside = gate.counter.total
        text.oldest = gate.counter.busySince.map { .nanoseconds(now.nanoseconds - $0) }
        gate.logger.info(
            "Still draining", metadata: ["inside": "\(text.inside ?? 0)", "oldest": "\(text.oldest ?? .zero)"])
        session.post(.setData(path: node, data: text.bytes))
    }

    /// Deletes the read znode, which acknowledges the pause, and reads the signal with a watch, in one flight.
    mutating func leave() async -> GateStateMachine.Event {
        grant?.hold.release()
        guard let session, let node, !session.isGone else { return .sessionEnded }
        let (watch, signalPath) = (SignalWatch(), mode.signalPath)
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
        case .failure(let error) where error.code == .noNode: return .left(signalStands: false)
        default:
            switch await look(session) {
            case .stands: return .left(signalStands: true)
            case .gone: return .left(signalStands: false)
            case .sessionEnded: return .sessionEnded
            }
        }
    }

    /// Reads the signal and watches it, until there is an answer.
    mutating func look(_ session: LiveSession) async -> SignalSight {
        while !session.hasEnded {
            let (watch, signalPath) = (SignalWatch(), mode.signalPath)
            let results = await unlessAbandoned {
                try await session.flight(.data(path: signalPath, watch: watch.sink))
            }
            // Given up for the gate's stop, which comes next.
            guard let results else { return .gone }
            switch results[0] {
            case .success(.data(let data, let stat)):
                noteSignal(data, stat, watch: watch)
                return .stands
            case .failure(let error) where error.code == .noNode: return .gone
            case .failure(let error) where error.code == .noAuth:
                if let sight = await lookWithoutReading(session) { return sight }
            default: continue
            }
        }
        return .sessionEnded
    }

    /// Servers tell nobody of the end of a znode that they may not read (CVE-2024-23944); its parent tells it.
    ///
    /// - Returns: `nil` when there was no answer.
    private mutating func lookWithoutReading(_ session: LiveSession) async -> SignalSight? {
        let (watch, path, name) = (SignalWatch(), mode.path, ZNodePath.name(of: mode.signalPath))
        let result = await unlessAbandoned {
            try await session.flight(.children(path: path, watch: watch.sink))
        }?[0]
        switch result {
        case .success(.children(let names, _)):
            signal = watch
            return names.containsBytes(of: name) ? .stands : .gone
        case .failure(let error) where error.code == .noNode: return .gone
        case nil: return .gone
        default: return nil
        }
    }

    private mutating func noteSignal(_ data: [UInt8], _ stat: ZNodeStat, watch: SignalWatch) {
        signal = watch
        let text = SignalText(data)
        guard text.keepsRecords else { return }
        expectedRecord = (text.id, FencingToken(rawValue: stat.czxid.rawValue))
    }

    private func processor(_ session: LiveSession) -> ProcessorText {
        ProcessorText(member: gate.member.node, name: gate.name, sessionTimeout: session.timeout)
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
