internal import Logging
internal import Synchronization
internal import ZooKeeper

extension EventGate {
    /// Takes part: opens and closes the gate until stopped.
    ///
    /// On graceful shutdown, and on cancellation, the gate closes, waits for the events inside, and deletes its znodes
    /// before this returns; on cancellation those events are cancelled. While the connection is lost the deletion is not
    /// waited for: it happens on the next one, or with the end of the session.
    /// - Throws: `ZooKeeperError` with code `.noAuth` when the ensemble refuses this processor the rights that
    ///   it needs, `.dataTooLarge` when its name does not fit into a request, `.clientStopped` or `.authenticationFailed` when the client has ended;
    ///   ``RecipeError`` with code `.queueNumbersExhausted`, or `.invalidArgument` when it was run before.
    public func run() async throws {
        try runOnce.begin("a gate", in: .exclusiveMode, path: mode.path)
        let failure = await runOnce.run {
            var loop = GateLoop(gate: self)
            return await loop.run()
        } onCancel: {
            self.stop(cancelsInside: true)
        } onGracefulShutdown: {
            self.stop()
        }
        end()
        if let failure { throw failure }
    }

    private func end() {
        let opening = shared.withLock { shared in
            shared.isStopped = true
            return shared.opening
        }
        broadcast.finish(.stopped)
        opening.set(())
    }
}

/// Performs what the gate's state machine decides; one run of a gate.
struct GateLoop {
    let gate: EventGate
    var session: LiveSession?
    var grant: GateGrant?
    /// The read znode that stands, or may stand.
    var node: String?
    var memberEpoch = 0
    /// What the read znode is to say when the gate is open: the gate drained or recovered before, and has reported that.
    var openReport: ProcessorRecord.State?
    /// Whether the gate has paused, since it was last open, for a window that leaves a record.
    var hasPausedForWindow = false
    /// What the gate has waited for, or waits for, and nobody may have recorded so far.
    var crash: WindowCrash?
    /// Since when this gate knows of the windows that have crashed.
    var crashesSeen: [ZNodeName: MonotonicInstant] = [:]
    /// The one watch on the signal that is set, or may be.
    var signal: OneShotWatch?
    var backoff: Backoff
    var failure: (any Error)?

    var mode: ExclusiveMode { gate.mode }

    init(gate: EventGate) {
        self.gate = gate
        backoff = gate.mode.client.makeBackoff(.slow)
    }

    mutating func run() async -> (any Error)? {
        var machine = GateStateMachine()
        var action = machine.start()
        while action != .finish {
            let event = await perform(action)
            if gate.stopping.value != nil { machine.stop() }
            action = machine.handle(event)
        }
        watch(nil)
        await leaveMembers()
        return failure
    }

    private mutating func perform(_ action: GateStateMachine.Action) async -> GateStateMachine.Event {
        switch action {
        case .awaitSession: await awaitSession()
        case .enter: await enter()
        case .open: await stayOpen()
        case .recover: await recover()
        case .drain(let mayReopen): await drain(mayReopen: mayReopen)
        case .leave: await leave()
        case .awaitSignalGone: await awaitSignalGone()
        case .backOff: await backOff()
        case .finish: .stopped
        }
    }

    // MARK: Waits, each of which a stop ends

    private mutating func awaitSession() async -> GateStateMachine.Event {
        gate.broadcast.send(.starting)
        let client = mode.client
        do {
            guard let session = try await unless(gate.stopping, { try await client.liveSession() }) else {
                return .stopped
            }
            self.session = session
            return .session
        } catch {
            failure = error
            return .forbidden
        }
    }

    private mutating func stayOpen() async -> GateStateMachine.Event {
        guard let grant else { return .lost(hasSession: true) }
        if gate.handle(.open(grant.number)).contains(.open) { hasPausedForWindow = false }
        backoff.reset()
        return await interruption(of: grant) ?? .stopped
    }

    private mutating func recover() async -> GateStateMachine.Event {
        guard let grant else { return .lost(hasSession: true) }
        gate.broadcast.send(.recovering)
        gate.logger.warning(
            "A window crashed: the gate stays shut for the resume delay",
            metadata: [
                "zookeeper.owners": .array((crash?.windows ?? []).map { "\(EscapedText.escaped($0.text.owner))" }),
                "zookeeper.delay": "\(mode.configuration.resumeDelay)",
            ])
        reportRecovering()
        let end = (crashesSeen.values.max() ?? gate.clock.now) + mode.configuration.resumeDelay
        return await interruption(of: grant, until: end) ?? .recovered
    }

    private enum Waited: Sendable {
        case over(GateAdmission.Interrupt?)
        case watch(OneShotWatch?)
        case reported(Bool)
        case recorded(Bool)
    }

    /// Waits until the gate must shut, or until a deadline, which gives `nil`; the signal is watched meanwhile.
    private mutating func interruption(
        of grant: GateGrant, until deadline: MonotonicInstant? = nil
    ) async -> GateStateMachine.Event? {
        let (loop, clock) = (self, gate.clock)
        // This task is never cancelled, so that the wait always has an outcome.
        await withTaskGroup(of: Waited.self) { group in
            group.addTask { .over(try? await grant.interrupt.wait()) }
            group.addTask { .watch(await loop.follow(loop.signal, for: grant)) }
            if let deadline {
                group.addTask {
                    try? await clock.sleep(until: deadline)
                    return .over(nil)
                }
            }
            if deadline == nil, let report = openReport { group.addTask { .reported(await loop.reportOpen(report)) } }
            if deadline == nil, let crash { group.addTask { .recorded(await loop.record(crash)) } }
            for await waited in group {
                switch waited {
                case .over: group.cancelAll()
                case .watch(let watch): signal = watch
                case .reported(let isDone): if isDone { openReport = nil }
                case .recorded(let isDone): if isDone { crash = nil }
                }
            }
        }
        switch grant.interrupt.value {
        case nil: return nil
        case .signalled: return .signalled
        case .stopped: return .stopped
        case .lost(let reason):
            gate.logger.warning("The gate has lost its place", metadata: ["zookeeper.reason": "\(reason)"])
            gate.broadcast.send(.lost(reason))
            return .lost(hasSession: !grant.session.isGone)
        }
    }

    mutating func backOff() async -> GateStateMachine.Event {
        let (clock, pause) = (gate.clock, backoff.pause())
        let done: Void? = try? await unless(gate.stopping) { try await clock.sleep(until: clock.now + pause) }
        return done == nil ? .stopped : .backedOff
    }

    private mutating func awaitSignalGone() async -> GateStateMachine.Event {
        gate.broadcast.send(.paused)
        while let session, let watch = signal {
            let event = watch.event
            guard let seen = try? await unless(gate.stopping, { try await event.wait() }) else { return .stopped }
            if seen.kind == .sessionEnded { return .sessionEnded }
            if seen.kind == .deleted { return .signalGone }
            switch await look(session) {
            case .stands: continue
            case .gone: return .signalGone
            case .sessionEnded: return .sessionEnded
            }
        }
        return .sessionEnded
    }

    /// Waits for what needs the connection; gives `nil` when the gate is to stop and the connection is lost.
    func unlessAbandoned<Value: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Value
    ) async -> Value? {
        let stopping = gate.stopping
        return try? await mode.client.run(untilDisconnectedAfter: { try await stopping.wait() }, operation)
    }
}
