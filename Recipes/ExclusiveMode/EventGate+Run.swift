internal import Logging
internal import Synchronization
internal import ZooKeeper

extension EventGate {
    /// Runs the gate: opens and closes it until it is stopped.
    ///
    /// On graceful shutdown, the gate closes, waits for the events inside, and deletes its znodes before this method
    /// returns. On cancellation it does the same, and cancels the events inside. If the connection is lost, this method
    /// does not wait for the deletion. The znodes are then deleted on the next connection, or removed with the session.
    ///
    /// - Throws: `ZooKeeperError` with code `.noAuth` if the processor lacks a permission that it needs,
    ///   `.dataTooLarge` if its name does not fit into a request, `.clientStopped` or `.authenticationFailed` if the
    ///   client has ended; ``RecipeError`` with code `.queueNumbersExhausted`, or `.invalidArgument` if the gate was
    ///   run before.
    /// - Complexity: Opening the gate takes 3 requests in 1 round trip, 1 more in a new session, and 1 to watch the
    ///   read znode if it stays open for a second. Pausing takes 2 in 1 round trip. Draining for longer than 100 ms
    ///   takes 2 more to check for the end of the window, and up to 3 per second after
    ///   ``ExclusiveMode/Configuration/drainReportDelay``. Reopening after such a report takes 1. After windows that
    ///   crashed, opening takes up to 6 more, and 2 for each of these windows. Stopping takes 3 in 2 round trips. While
    ///   the gate is open, the session sends a heartbeat of a `sync` and a write every 3/10 of the session timeout.
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
        let opening = core.shared.withLock { shared in
            shared.isStopped = true
            return shared.opening
        }
        broadcast.finish(.stopped)
        opening.set(())
    }
}

/// Executes the decisions of the gate's state machine, for one run of the gate.
struct GateLoop {
    let gate: EventGate
    var session: SessionHandle?
    var grant: GateGrant?
    /// The path of the read znode that exists or may exist.
    var node: String?
    var memberEpoch = 0
    /// Whether the server has refused to create the member znode, so that there is none to delete.
    var isMemberRefused = false
    /// The state to write into the read znode when the gate opens, if the gate has reported that it was draining or
    /// recovering.
    var openReport: ProcessorRecord.State?
    /// Whether the gate has paused, since it was last open, for a window that leaves a record.
    var hasPausedForWindow = false
    /// The crash that the gate waits for or has waited for, and that may not have been recorded yet.
    var crash: WindowCrash?
    /// The time when this gate first detected each crashed window.
    var crashesSeen: [ZNodeName: MonotonicInstant] = [:]
    /// The time since when the gate is closed, and whether a window was the reason, for the metrics.
    var closed: (since: MonotonicInstant, byWindow: Bool)
    /// The only watch on the signal that is set or may be set.
    var signal: OneShotWatch?
    var backoff: Backoff
    var failure: (any Error)?

    var mode: ExclusiveMode { gate.mode }

    init(gate: EventGate) {
        self.gate = gate
        closed = (gate.clock.now, false)
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

    // MARK: Waits that end when the gate stops

    private mutating func awaitSession() async -> GateStateMachine.Event {
        gate.broadcast.send(.starting)
        let client = mode.client
        do {
            guard let session = try await unless(gate.stopping, { try await client.connectedSession() }) else {
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
        let hasOpened = gate.handle(.open(grant.number)).contains(.open)
        backoff.reset()
        guard hasOpened else { return await interruption(of: grant) ?? .stopped }
        hasPausedForWindow = false
        let (holding, metrics) = (Holding([grant.hold]), mode.client.recipeMetrics)
        if closed.byWindow { metrics.paused(for: gate.clock.now - closed.since) }
        let meter = metrics.granted(.gate, holding, since: closed.since, by: gate.clock)
        let event = await interruption(of: grant) ?? .stopped
        meter.end(of: holding)
        closed = (gate.clock.now, event == .signalled)
        return event
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

    /// Waits until the gate must close, or until a deadline, which returns `nil`; watches the signal meanwhile.
    private mutating func interruption(
        of grant: GateGrant, until deadline: MonotonicInstant? = nil
    ) async -> GateStateMachine.Event? {
        let (loop, clock) = (self, gate.clock)
        // This task is never cancelled, so the wait always has an outcome.
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

    /// Waits for an operation that needs the connection; returns `nil` if the gate is to stop and the connection is
    /// lost.
    func unlessAbandoned<Value: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Value
    ) async -> Value? {
        let stopping = gate.stopping
        return try? await mode.client.run(untilDisconnectedAfter: { try await stopping.wait() }, operation)
    }
}
