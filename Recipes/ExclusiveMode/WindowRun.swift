internal import Logging
internal import Synchronization
internal import ZooKeeper

/// A window from its request to its end.
struct WindowRun: Sendable {
    /// What is heard while waiting for the processors.
    private enum Event: Sendable {
        case sighting(StragglerWatches.Sighting)
        case lookAgain
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
        let (loss, cancellation) = (OneShot<LossReason>(), OneShot<Void>())
        // Weakly: the operation's result may hold the window, and with it the znodes that are observed.
        request.holds.onLoss { [weak loss, weak cancellation] reason in
            loss?.set(reason)
            cancellation?.set(())
        }
        let window = ExclusiveWindow(
            fencingToken: request.token, participants: drained.tracker.paused.sorted(),
            forced: drained.tracker.forced.sorted(), drained: drained.duration, slowest: drained.tracker.slowest,
            holds: request.holds, loss: loss, path: mode.path, clock: clock)
        let scope = ExclusiveScope(.window, of: mode)
        defer { scope.end() }
        let task = scope.bind { Task { try await operation(window) } }
        cancellation.observe { task.cancel() }
        let result = await withTaskCancellationHandler {
            await task.result
        } onCancel: {
            cancellation.set(())
        }
        return try await conclude(result, drained: drained)
    }

    private func conclude<Result: Sendable>(
        _ result: Swift.Result<Result, any Error>, drained: Drained
    ) async throws -> Result {
        guard request.holds.isValid else {
            let reason = request.holds.lossReason ?? .deadlinePassed
            await finish(.lost, drained: drained)
            throw RecipeError(.lost, in: .exclusiveMode, path: mode.path, reason: reason)
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
        defer { continuation.finish() }
        var tracker = DrainTracker(listing: request.listing, own: own, members: request.members)
        request.holds.onLoss { continuation.yield(.lost($0)) }
        let watches = StragglerWatches(of: request, in: mode.locksPath) { continuation.yield(.sighting($0)) }
        defer { watches.end() }
        for node in tracker.waiting.keys.sorted().strings { watches.look(at: node) }
        try await withThrowingTaskGroup(of: Void.self) { [clock] group in
            defer { group.cancelAll() }
            if let patience = drain.patience {
                let until = request.requested + patience
                group.addTask {
                    try await clock.sleep(until: until)
                    continuation.yield(.patienceOver)
                }
            }
            var (iterator, refused) = (events.makeAsyncIterator(), RefusedLooks(mode))
            var isImpatient = false
            while !tracker.isDrained {
                guard let event = await iterator.next() else { throw CancellationError() }
                switch event {
                case .sighting(.seen(let node, let data)):
                    tracker.seen(node, data: data)
                    refused.reset()
                case .sighting(.unreadable(let node)): tracker.unreadable(node)
                case .sighting(.gone(let node)): tracker.gone(node)
                case .sighting(.failed(let node, let error)):
                    guard let pause = refused.add(node, error) else { continue }
                    group.addTask {
                        try await clock.sleep(until: clock.now + pause)
                        continuation.yield(.lookAgain)
                    }
                case .lookAgain: for node in refused.take() { watches.look(at: node) }
                case .lost(let reason): throw RecipeError(.lost, in: .exclusiveMode, path: mode.path, reason: reason)
                case .patienceOver: isImpatient = true
                }
                // Whoever is evicted is waited for as long as its session may last, which its znode says.
                if isImpatient, !tracker.isDrained, !drain.evicts || tracker.isKnown {
                    try await losePatience(&tracker)
                }
            }
        }
        let settled = try await awaitEarlierWindows(&tracker)
        try await awaitValidity()
        return Drained(tracker: tracker, duration: clock.now - request.requested, settled: settled)
    }

    private func losePatience(_ tracker: inout DrainTracker) async throws {
        let who = tracker.stragglers
        guard case .proceed = drain.kind else {
            throw RecipeError(.notPaused, in: .exclusiveMode, path: mode.path, participants: who)
        }
        mode.logger.warning(
            "Taking away the place of processors that do not pause",
            metadata: ["zookeeper.processors": "\(EscapedText.escaped(who.joined(separator: ", ")))"])
        try await force(&tracker)
    }

    /// Waits; throws when the window is lost meanwhile.
    func sleep(until deadline: MonotonicInstant) async throws {
        let (clock, holds) = (clock, request.holds)
        let reason: LossReason? = try await race(
            {
                try await clock.sleep(until: deadline)
                return nil
            },
            { try await holds.signal.waitForLoss() }, { try await holds.write.waitForLoss() })
        if let reason { throw RecipeError(.lost, in: .exclusiveMode, path: mode.path, reason: reason) }
    }

    /// A fresh connection that took long to come is proved a quarter of the session timeout later.
    private func awaitValidity() async throws {
        while true {
            let move = request.session.nextMove()
            if request.holds.isValid { return }
            if let reason = request.holds.lossReason {
                throw RecipeError(.lost, in: .exclusiveMode, path: mode.path, reason: reason)
            }
            try await move.wait()
        }
    }
}

/// Contenders that could not be read or watched, until they are looked at again.
private struct RefusedLooks {
    private let mode: ExclusiveMode
    private var nodes: [String] = []
    private var backoff: Backoff

    init(_ mode: ExclusiveMode) {
        self.mode = mode
        backoff = mode.client.makeBackoff(.slow)
    }

    /// The pause to make, unless one is under way.
    mutating func add(_ node: String, _ error: ZooKeeperError) -> Duration? {
        nodes.append(node)
        guard nodes.count == 1 else { return nil }
        if !error.isTransient {
            mode.logger.warning(
                "The window cannot watch a processor that it waits for, and tries again after a pause",
                metadata: ["zookeeper.path": "\(ZNodePath.child(node, of: mode.locksPath))", "error": "\(error)"])
        }
        return backoff.pause()
    }

    mutating func take() -> [String] {
        defer { nodes = [] }
        return nodes
    }

    /// One could be looked at: unless others could not, the next pause is short again.
    mutating func reset() {
        if nodes.isEmpty { backoff.reset() }
    }
}
