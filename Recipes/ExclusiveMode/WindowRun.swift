internal import Logging
internal import Synchronization
internal import ZooKeeper

/// A window from its request to its end.
struct WindowRun: Sendable {
    /// What is heard while waiting for the processors.
    private enum Event: Sendable {
        case seen(String, data: [UInt8])
        case gone(String)
        case lost(LossReason)
        case patienceOver
    }

    /// How the processors were paused.
    struct Drained {
        var tracker: DrainTracker
        var duration: Duration
        /// The windows, this one among them, whose taking away of places has been waited for.
        var settled: Set<String>
    }

    let mode: ExclusiveMode
    let request: WindowRequest
    let drain: DrainPolicy

    var clock: any MonotonicClock { mode.client.clock }

    func run<Result: Sendable>(
        _ operation: @escaping @Sendable (ExclusiveWindow) async throws -> Result
    ) async throws -> Result {
        let drained: Drained
        do {
            drained = try await pauseEverybody()
        } catch {
            await finish(.aborted, drained: nil)
            throw error
        }
        let loss = OneShot<LossReason>()
        request.holds.onLoss { loss.set($0) }
        let window = ExclusiveWindow(
            fencingToken: request.token, participants: drained.tracker.paused.sorted(),
            forced: drained.tracker.forced.sorted(), drained: drained.duration, slowest: drained.tracker.slowest,
            holds: request.holds, loss: loss, path: mode.path, clock: clock)
        let task = Task { try await operation(window) }
        request.holds.onLoss { _ in task.cancel() }
        let result = await withTaskCancellationHandler {
            await task.result
        } onCancel: {
            task.cancel()
        }
        return try await conclude(result, drained: drained)
    }

    private func conclude<Result: Sendable>(
        _ result: Swift.Result<Result, any Error>, drained: Drained
    ) async throws -> Result {
        guard request.holds.isValid else {
            let reason = request.holds.lossReason ?? .deadlinePassed
            await finish(.lost, drained: drained)
            throw ExclusiveModeError(.lost, path: mode.path, reason: reason)
        }
        switch result {
        case .success: await finish(.completed, drained: drained)
        case .failure: await finish(.failed, drained: drained)
        }
        return try result.get()
    }

    // MARK: Pausing

    /// Waits until everybody who stood in front of the window has gone, as the drain policy wants it.
    private func pauseEverybody() async throws -> Drained {
        guard let own = request.own else { throw ZooKeeperError(.server, message: "a window without a number") }
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)
        var tracker = DrainTracker(listing: request.listing, own: own, members: request.members)
        request.holds.onLoss { continuation.yield(.lost($0)) }
        for node in tracker.waiting.keys.sorted().strings { look(at: node, tell: continuation) }
        try await withThrowingTaskGroup(of: Void.self) { [clock] group in
            if let patience = drain.patience {
                let until = request.requested + patience
                group.addTask {
                    try await clock.sleep(until: until)
                    continuation.yield(.patienceOver)
                }
            }
            defer { group.cancelAll() }
            try await follow(events, &tracker)
        }
        let settled = try await settleForces(tracker)
        try await awaitValidity()
        return Drained(tracker: tracker, duration: clock.now - request.requested, settled: settled)
    }

    private func follow(_ events: AsyncStream<Event>, _ tracker: inout DrainTracker) async throws {
        if tracker.isDrained { return }
        for await event in events {
            switch event {
            case .seen(let node, let data): tracker.seen(node, data: data)
            case .gone(let node): tracker.gone(node)
            case .lost(let reason): throw ExclusiveModeError(.lost, path: mode.path, reason: reason)
            case .patienceOver: try await losePatience(&tracker)
            }
            if tracker.isDrained { return }
        }
        throw CancellationError()
    }

    /// Reads what a contender says and watches it until it has gone.
    private func look(at node: String, tell events: AsyncStream<Event>.Continuation) {
        // The loss of the window's own znodes tells of the session's end.
        guard !request.session.hasEnded else { return }
        let path = "\(mode.locksPath)/\(node)"
        let sink = watchSink(on: node, tell: events)
        request.session.post(.data(path: path, watch: sink)) { result in
            switch result {
            case .success(.data(let data, _)): events.yield(.seen(node, data: data))
            case .failure(let error): failedToLook(at: node, error, tell: events)
            default: break
            }
        }
    }

    private func failedToLook(
        at node: String, _ error: ZooKeeperError, tell events: AsyncStream<Event>.Continuation
    ) {
        switch error.code {
        case .noNode: events.yield(.gone(node))
        case .noAuth: lookInDirectory(for: node, tell: events)
        default: look(at: node, tell: events)
        }
    }

    /// Servers tell nobody of the end of a znode that they may not read (CVE-2024-23944); its directory tells it.
    private func lookInDirectory(for node: String, tell events: AsyncStream<Event>.Continuation) {
        let sink = watchSink(on: node, tell: events)
        request.session.post(.children(path: mode.locksPath, watch: sink)) { result in
            switch result {
            case .success(.children(let names, _)) where names.containsBytes(of: node): break
            case .failure(let error) where error.isOutcomeUnknown: look(at: node, tell: events)
            case .failure(let error) where error.code != .noNode: break
            default: events.yield(.gone(node))
            }
        }
    }

    private func watchSink(on node: String, tell events: AsyncStream<Event>.Continuation) -> WatchSink {
        WatchSink { event in
            if event.isDeleted {
                events.yield(.gone(node))
            } else if !event.isSessionEnded {
                look(at: node, tell: events)
            }
        }
    }

    private func losePatience(_ tracker: inout DrainTracker) async throws {
        let who = tracker.stragglers
        guard case .proceed = drain.kind else { throw ExclusiveModeError(.notPaused, path: mode.path, who: who) }
        mode.logger.warning(
            "Taking away the place of processors that do not pause",
            metadata: ["zookeeper.processors": "\(who.joined(separator: ", "))"])
        try await force(&tracker)
    }

    /// Waits; throws when the window is lost meanwhile.
    func sleep(until deadline: MonotonicInstant) async throws {
        let (clock, holds) = (clock, request.holds)
        let reason = try await withThrowingTaskGroup(of: LossReason?.self) { group in
            group.addTask {
                try await clock.sleep(until: deadline)
                return nil
            }
            group.addTask { try await holds.signal.waitForLoss() }
            group.addTask { try await holds.write.waitForLoss() }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        if let reason { throw ExclusiveModeError(.lost, path: mode.path, reason: reason) }
    }

    /// A fresh connection that took long to come is proved a quarter of the session timeout later.
    private func awaitValidity() async throws {
        while true {
            let move = request.session.nextMove()
            if request.holds.isValid { return }
            if let reason = request.holds.lossReason {
                throw ExclusiveModeError(.lost, path: mode.path, reason: reason)
            }
            try await move.wait()
        }
    }
}
