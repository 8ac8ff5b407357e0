internal import Logging
internal import ZooKeeper

/// The result of a check for the signal.
enum SignalState { case stands, gone, sessionEnded }

// The requests that the gate sends to the ensemble.
extension GateLoop {
    /// Creates the read znode and then checks for the signal, in one round trip.
    ///
    /// Every window creates its signal no later than its write znode. The ensemble evaluates the check after the
    /// creation. If the check finds no signal, any later window's znode has a higher number than the read znode, and
    /// that window waits for it.
    mutating func enter() async -> GateStateMachine.Event {
        guard let session, !session.hasEnded else { return .sessionEnded }
        let uuid = gate.member.makeUUID(using: mode.client.randomness)
        let base = ZNodePath.child(ContenderName.base(uuid: uuid, kind: .read), of: mode.locksPath)
        let watch = OneShotWatch(mode.client, path: mode.signalPath)
        var requests: [SessionRequest] = [
            .create(path: base, data: processor(session).bytes, mode: .ephemeralSequential),
            .exists(path: mode.signalPath, watch: watch.sink),
            .data(path: mode.windowsPath),
        ]
        if memberEpoch != session.epoch {
            requests.append(memberCreation(session))
        }
        let (flight, batch) = (requests, RequestBatch())
        guard let results = await unlessAbandoned({ try await session.sendAll(flight, batch: batch) }) else {
            watch.giveUp()
            session.cleanUp(.prefix(ContenderName.prefix(uuid: uuid), parent: mode.locksPath))
            return .enterFailed
        }
        if results.count > 3 { await joinMembers(results[3], session) }
        return await entered(results, batch, uuid: uuid, watch: watch, session: session)
    }

    private var memberPath: String { ZNodePath.child(gate.member.node, of: mode.membersPath) }

    private func memberCreation(_ session: SessionHandle) -> SessionRequest {
        .create(path: memberPath, data: processor(session).bytes, mode: .ephemeral)
    }

    /// Deletes the member znode: a gate that has ended is no longer a processor, even if its client continues to run.
    func leaveMembers() async {
        guard let session, !session.isGone, !isMemberRefused else { return }
        await session.cleanUpWhileConnected(.node(path: memberPath))
    }

    /// Registers the member; recreates its directory, a container that the server may have removed after the last
    /// processor left.
    private mutating func joinMembers(_ result: SessionResult, _ session: SessionHandle) async {
        var result = result
        if case .failure(let error) = result, error.code == .noNode {
            let (client, path, creation) = (mode.client, memberPath, memberCreation(session))
            let again = await unlessAbandoned {
                try await client.createParents(of: path)
                return try await session.sendAll(creation)
            }
            result = again?[0] ?? result
        }
        isMemberRefused = if case .failure(let error) = result { error.code == .noAuth } else { false }
        if case .success = result { memberEpoch = session.epoch }
    }

    private mutating func entered(
        _ results: [SessionResult], _ batch: RequestBatch, uuid: String, watch: OneShotWatch, session: SessionHandle
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
        let held = session.hold(
            created.path, czxid: created.stat.czxid, seenBy: batch, watchingAfter: watchDelay(session))
        let grant = gate.prepare(held)
        self.grant = grant
        switch results[1] {
        case .failure(let error) where error.code == .noNode:
            self.watch(watch)
            gate.close(grant, on: watch)
            switch await aftermath(before: created.stat, records: results[2], session) {
            case .none: return .entered(windowCrashed: false)
            case .crash: return .entered(windowCrashed: true)
            case .hold: return .enteredUnderSignal
            }
        case .failure(let error):
            watch.giveUp()
            note(error)
            return .enteredUnderSignal
        case .success:
            // The watch just set would only report the deletion of the signal, which `leave` checks for itself.
            watch.giveUp()
            return .enteredUnderSignal
        }
    }

    /// The time after which the read znode is watched, different for each gate.
    ///
    /// All processors resume at the same time: the ensemble receives these requests later, and not together. The delay
    /// is short enough for the validity, which is extended only while the znode is watched.
    private func watchDelay(_ session: SessionHandle) -> Duration {
        let longest = min(session.timeout / 6, .seconds(1))
        return longest / 2
            + .nanoseconds(Int64(mode.client.randomness.next() % UInt64(max(1, longest.nanoseconds / 2))))
    }

    private enum Aftermath: Sendable {
        case none
        /// A window has ended without a record.
        case crash
        /// There is a hold: the window crashed during which it began, or somebody has deleted its signal.
        case hold
    }

    /// Returns what keeps the gate closed although there is no signal.
    ///
    /// A window without a record was requested before the read znode was created, and there was no signal after the
    /// creation. The check is repeated if its answer was lost with the connection, because that does not indicate a
    /// crash. If the outcome cannot be determined, a crash is assumed only after a window that this gate has paused
    /// for.
    private mutating func aftermath(
        before created: ZNodeStat, records: SessionResult, _ session: SessionHandle
    ) async -> Aftermath {
        let (mode, node, interrupt) = (mode, grant?.hold.path ?? "", grant?.interrupt)
        var records = records
        // A signal also ends the loop: the window waits for the read znode.
        while !session.hasEnded, interrupt?.value == nil {
            do {
                let (data, stat) = try records.get().data
                let found = await unlessAbandoned { () async -> Result<WindowLeftovers, any Error> in
                    guard stat.childrenCount > 0 else { return .success(WindowLeftovers(crashed: [], holds: [])) }
                    do {
                        return .success(
                            try await mode.leftovers(
                                before: created.czxid, of: node, in: session, records: WindowRecord.list(data)))
                    } catch { return .failure(error) }
                }
                if let left = try found?.get() {
                    remember(
                        left.crashed.isEmpty ? nil : WindowCrash(windows: left.crashed, noticed: created.ctime))
                    if let owner = left.holds.first {
                        await restoreSignal(of: owner, .touchRecords(data, version: stat.dataVersion), session)
                        return .hold
                    }
                    return crash == nil ? .none : .crash
                }
            } catch let error as ZooKeeperError where error.isTransient {
            } catch {
                return hasPausedForWindow ? .crash : .none
            }
            guard await backOff() != .stopped else { break }
            let again = await unlessAbandoned {
                try await session.sendAll(behindBarrierAt: node, [.data(path: mode.windowsPath)])
            }
            records = again?[0] ?? .failure(ZooKeeperError(.connectionLoss))
        }
        // An interrupt keeps the gate closed in any case.
        return interrupt?.value == nil && hasPausedForWindow ? .crash : .none
    }

    /// Creates the signal of a hold, for the participants that know only the signal.
    private mutating func restoreSignal(of owner: String, _ check: HoldChange, _ session: SessionHandle) async {
        let operations = [check, .createSignal(owner: owner)].flatMap(mode.operations)
        gate.logger.notice(
            "The gate stays closed for a hold without a signal, which it creates",
            metadata: ["zookeeper.owner": "\(EscapedText.escaped(owner))"])
        let result = await unlessAbandoned { try await session.sendAll(.multi(operations)) }?[0]
        switch result {
        case .success: break
        // Another participant has created a signal, or has changed the holds: the next steps show that.
        case .failure(let error) where [.nodeExists, .badVersion].contains(error.code): break
        case .failure, nil:
            if case .failure(let error) = result { note(error) }
            _ = await backOff()
        }
    }

    /// Stores a crash, and the time when this gate first detected each window: an interruption does not restart the
    /// delay.
    private mutating func remember(_ crash: WindowCrash?) {
        let before = crashesSeen
        let now = gate.clock.now
        crashesSeen = [:]
        for window in crash?.windows ?? [] {
            crashesSeen[ZNodeName(window.text.id)] = before[ZNodeName(window.text.id)] ?? now
        }
        self.crash = crash
    }

    private mutating func enterFailed(
        _ error: any Error, uuid: String, watch: OneShotWatch, session: SessionHandle
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

    /// Replaces the current watch, and removes it.
    mutating func watch(_ next: OneShotWatch?) {
        signal?.giveUp()
        signal = next
    }

    /// Keeps the signal watched while the gate is open or recovering, until cancelled or until the gate must close.
    ///
    /// A watch that was lost with its connection is set again. While there is no watch, no window can open, because it
    /// waits for the read znode, which exists.
    ///
    /// - Returns: The watch that is set at the end.
    func follow(_ first: OneShotWatch?, for grant: GateGrant) async -> OneShotWatch? {
        var current = first
        while true {
            if let watch = current {
                guard let event = try? await watch.event.wait() else { return watch }
                guard event.kind == .interrupted else { return nil }
            }
            current = await watchAgain(for: grant)
            if current == nil { return nil }
        }
    }

    private func watchAgain(for grant: GateGrant) async -> OneShotWatch? {
        let (clock, signalPath) = (gate.clock, mode.signalPath)
        var backoff = gate.mode.client.makeBackoff(.slow)
        while !grant.session.hasEnded {
            let watch = OneShotWatch(mode.client, path: signalPath)
            gate.close(grant, on: watch)
            let result = try? await grant.session.sendAll(.exists(path: signalPath, watch: watch.sink))[0]
            if case .failure(let error) = result, error.code == .noNode { return watch }
            watch.giveUp()
            switch result {
            case nil: return nil
            case .success: gate.handle(.signalled(grant.number))
            case .failure(let error): note(error)
            }
            guard grant.interrupt.value == nil else { return nil }
            guard (try? await clock.sleep(until: clock.now + backoff.pause())) != nil else { return nil }
        }
        return nil
    }

    /// Logs the reason why a request or a watch failed; the caller retries after a pause.
    func note(_ error: ZooKeeperError) {
        guard !error.isTransient, error.code != .clientStopped else { return }
        gate.logger.warning(
            "The gate cannot watch the signal, and tries again after a pause",
            metadata: ["zookeeper.path": "\(mode.signalPath)", "error": "\(error)"])
    }

    /// Writes into the read znode why the gate stays closed, for operators.
    mutating func reportRecovering() {
        guard let session, let node, mode.configuration.resumeDelay > .zero else { return }
        var text = processor(session)
        text.state = .recovering
        openReport = .recovered
        session.post(.setData(path: node, data: text.bytes))
    }

    /// Replaces the report of a gate that was draining or recovering; returns whether that is complete.
    func reportOpen(_ state: ProcessorRecord.State) async -> Bool {
        guard let session, let node else { return true }
        let clock = gate.clock
        var text = state == .reopened ? report(session, now: clock.now) : processor(session)
        text.state = state
        let bytes = text.bytes
        return await repeated {
            let result = try await session.sendAll(.setData(path: node, data: bytes))[0]
            if case .failure(let error) = result { return error.code == .noNode }
            return true
        }
    }

    /// Writes the records of crashed windows after the resume delay, unless another participant has; returns whether
    /// that is complete.
    func record(_ crash: WindowCrash) async -> Bool {
        guard let session else { return true }
        return await repeated { try await mode.record(crash, in: session) }
    }

    /// Repeats an attempt, with pauses, until it succeeds or fails permanently.
    ///
    /// - Returns: `true` in both cases and if the session has ended; `false` if the task is cancelled.
    private func repeated(_ attempt: () async throws -> Bool) async -> Bool {
        var backoff = gate.mode.client.makeBackoff(.slow)
        while session?.hasEnded == false {
            do {
                if try await attempt() { return true }
            } catch let error as ZooKeeperError where error.isTransient {
            } catch { return !(error is CancellationError) }
            guard (try? await gate.clock.sleep(until: gate.clock.now + backoff.pause())) != nil else { return false }
        }
        return true
    }

    /// Deletes the read znode, which acknowledges the pause, and reads the signal with a watch, in one round trip.
    mutating func leave() async -> GateStateMachine.Event {
        grant?.hold.release()
        guard let session, let node, !session.isGone else { return .sessionEnded }
        let signalPath = mode.signalPath
        let watch = OneShotWatch(mode.client, path: signalPath)
        let results = await unlessAbandoned {
            try await session.sendAll(.delete(path: node), .data(path: signalPath, watch: watch.sink))
        }
        if results?[0].isGone != true {
            // The answer was lost with its connection: the deletion is repeated until its outcome is certain, before
            // anything else.
            let (answered, stopping) = (OneShot<Void>(), gate.stopping)
            let deletion = session.cleanUp(.node(path: node), answered: answered)
            _ = await unlessAbandoned {
                try await race(
                    { try await deletion.wait() },
                    {
                        // A gate that stops does not wait for a permission that it no longer has.
                        try await answered.wait()
                        try await stopping.wait()
                    })
            }
        }
        self.node = nil
        if session.hasEnded { return .sessionEnded }
        switch results?[1] {
        case .success(.data(let data, _)):
            noteSignal(data, watch: watch)
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
    mutating func look(_ session: SessionHandle) async -> SignalState {
        let signalPath = mode.signalPath
        while !session.hasEnded {
            let watch = OneShotWatch(mode.client, path: signalPath)
            let results = await unlessAbandoned {
                try await session.sendAll(.data(path: signalPath, watch: watch.sink))
            }
            switch results?[0] {
            case .success(.data(let data, _)):
                noteSignal(data, watch: watch)
                return .stands
            case .failure(let error) where error.code == .noNode: return .gone
            case .failure(let error) where error.code == .noAuth:
                if let sight = await lookWithoutReading(session) { return sight }
            case .failure(let error): note(error)
            default: break
            }
            watch.giveUp()
            // The read was abandoned because the gate is to stop, which happens next.
            guard results != nil, await backOff() != .stopped else { return .gone }
        }
        return .sessionEnded
    }

    /// Checks for the signal by listing its parent, for lack of permission to read the signal.
    ///
    /// Servers do not notify about the deletion of a znode without permission to read it (CVE-2024-23944). The watch on
    /// the parent detects it.
    ///
    /// - Returns: `nil` if the listing failed.
    private mutating func lookWithoutReading(_ session: SessionHandle) async -> SignalState? {
        let (path, name) = (mode.path, ZNodePath.name(of: mode.signalPath))
        let watch = OneShotWatch(mode.client, path: path, kind: .children)
        let result = await unlessAbandoned {
            try await session.sendAll(.children(path: path, watch: watch.sink))
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

    private mutating func noteSignal(_ data: [UInt8], watch: OneShotWatch) {
        self.watch(watch)
        backoff.reset()
        let signal = SignalRecord(data)
        // A window may have opened during the hold.
        if signal.keepsRecords || signal.isHold { hasPausedForWindow = true }
    }

    func processor(_ session: SessionHandle) -> ProcessorRecord {
        ProcessorRecord(member: gate.member.node, name: gate.id, sessionTimeout: session.timeout)
    }
}

extension EventGate {
    /// Makes the creation of the signal close the gate, on the thread that delivers the event.
    func close(_ grant: GateGrant, on watch: OneShotWatch) {
        watch.event.observe { [weak self, number = grant.number] event in
            if event.kind != .interrupted, event.kind != .sessionEnded { self?.handle(.signalled(number)) }
        }
    }
}

extension SessionResult {
    /// Whether the children of `BASE/windows` include a hold.
    var showsHold: Bool {
        guard case .success(.children(let names, _)) = self else { return false }
        return names.contains(where: ExclusiveHold.isName)
    }

    /// Whether a znode that was to be deleted certainly does not exist.
    var isGone: Bool {
        switch self {
        case .success: true
        case .failure(let error): error.code == .noNode
        }
    }
}
