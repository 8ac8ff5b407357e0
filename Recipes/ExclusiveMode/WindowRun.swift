internal import Logging
internal import ZooKeeper

/// A window from its request to its end: performs the decisions of its state machine, and runs the operation.
struct WindowRun: Sendable {
    /// The result of pausing the processors.
    struct Drained {
        var tracker: DrainTracker
        var duration: Duration
        /// The windows, including this one, whose evictions have been waited for.
        var settled: Set<String>
    }

    let mode: ExclusiveMode
    let request: WindowRequest
    let drain: DrainPolicy
    /// The time since when the participant has waited for the window.
    let began: MonotonicInstant
    /// Signalled when a contender was observed, and when the window is lost.
    let wakeUp = WakeUp()

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
        let metrics = mode.client.recipeMetrics
        metrics.windowDrained(after: drained.duration)
        let meter = metrics.granted(.window, request.holding, since: began, by: clock)
        let (loss, cancellation) = (OneShot<LossReason>(), OneShot<Void>())
        // Captured weakly: the operation's result may retain the window, and with it the observed znodes.
        request.holding.onLoss { [weak loss, weak cancellation] reason in
            loss?.set(reason)
            cancellation?.set(())
        }
        let window = ExclusiveWindow(
            fencingToken: request.token, processors: drained.tracker.paused.sorted(),
            evicted: drained.tracker.evicted.sorted(), drainDuration: drained.duration,
            slowestProcessor: drained.tracker.slowest,
            holding: request.holding, loss: loss, path: mode.path, clock: clock)
        let scope = ExclusiveScope(.window, of: mode)
        defer { scope.end() }
        let task = scope.bind { Task { try await operation(window) } }
        cancellation.observe { task.cancel() }
        let result = await withTaskCancellationHandler {
            await task.result
        } onCancel: {
            cancellation.set(())
        }
        meter.end(of: request.holding)
        return try await conclude(result, drained: drained)
    }

    private func conclude<Result: Sendable>(
        _ result: Swift.Result<Result, any Error>, drained: Drained
    ) async throws -> Result {
        guard request.holding.isValid else {
            let reason = request.holding.lossReason ?? .deadlinePassed
            await finish(.lost, drained: drained)
            throw lost(reason)
        }
        switch result {
        case .success: await finish(.completed, drained: drained)
        case .failure: await finish(.failed, drained: drained)
        }
        return try result.get()
    }

    /// Waits until all contenders ahead of the window have paused, as the drain policy requires.
    private func pauseEverybody() async throws -> Drained {
        let watches = StragglerWatches(of: request, in: mode, wakeUp: wakeUp)
        defer { watches.end() }
        request.holding.onLoss { [weak wakeUp] _ in wakeUp?.signal() }
        request.writeNode.onWrite { [weak watches, logger = mode.logger] _ in watches?.takeRequests(logger: logger) }
        var steps = WindowSteps(run: self, watches: watches)
        var machine = WindowStateMachine(
            request.facts, drain: drain, configuration: mode.configuration, seed: mode.client.randomness.next())
        var action = machine.start()
        while action != .open {
            action = machine.handle(try await steps.perform(action, machine.tracker), now: clock.now)
        }
        return Drained(
            tracker: machine.tracker, duration: clock.now - request.facts.requested, settled: machine.settled)
    }

    /// Waits until an instant; throws if the window is lost or the task is cancelled meanwhile.
    ///
    /// - Parameters:
    ///   - deadline: The instant; `nil` waits without limit.
    ///   - isOver: Returns whether to end the wait earlier; called after each signal.
    func wait(until deadline: MonotonicInstant?, unless isOver: () -> Bool = { false }) async throws {
        while true {
            if let reason = request.holding.lossReason { throw lost(reason) }
            try Task.checkCancellation()
            if isOver() { return }
            if let deadline, deadline <= clock.now { return }
            await wakeUp.wait(until: deadline, clock: clock)
        }
    }

    func lost(_ reason: LossReason) -> RecipeError {
        RecipeError(.lost, in: .exclusiveMode, path: mode.path, lossReason: reason)
    }
}
