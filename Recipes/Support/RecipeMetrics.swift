internal import Metrics
internal import Synchronization
package import ZooKeeper

/// The kinds of grants, which the metrics count separately.
package enum GrantKind: String, Sendable {
    case mutex, readLock, writeLock, semaphore, leader, partition, window, gate

    init(_ kind: ContenderName.Kind) {
        self =
            switch kind {
            case .lock: .mutex
            case .latch: .leader
            case .read: .readLock
            case .write: .writeLock
            }
    }
}

/// The metrics of the recipes of one client, recorded through swift-metrics.
///
/// Their dimensions have few values: kinds of recipes, reasons and outcomes, but no paths and no IDs. Nothing is
/// recorded for single events of a gate.
package final class RecipeMetrics: Sendable {
    /// The handlers for one kind of grants.
    fileprivate struct GrantHandlers: Sendable {
        let kind: GrantKind
        let grants: Counter
        let held: Meter
        let waits: Timer
        let holds: Timer
        let queue: Recorder

        init(_ kind: GrantKind, factory: any MetricsFactory) {
            self.kind = kind
            let recipe = kind.rawValue
            grants = Counter(label: "zookeeper.grants", dimensions: [("recipe", recipe)], factory: factory)
            held = Meter(label: "zookeeper.grants.held", dimensions: [("recipe", recipe)], factory: factory)
            waits = Timer(label: "zookeeper.grant.wait.seconds", dimensions: [("recipe", recipe)], factory: factory)
            holds = Timer(label: "zookeeper.grant.hold.seconds", dimensions: [("recipe", recipe)], factory: factory)
            queue = Recorder(label: "zookeeper.queue.length", dimensions: [("recipe", recipe)], factory: factory)
        }
    }

    private struct Loss: Hashable {
        var kind: GrantKind
        var reason: LossReason
    }

    /// All handlers; each is created for its first use, so that a program reports only the recipes that it uses.
    private struct Handlers {
        let factory: any MetricsFactory
        var grants: [GrantKind: GrantHandlers] = [:]
        var losses: [Loss: Counter] = [:]
        var runs: [String: Counter] = [:]
        lazy var gatePauses = Timer(label: "zookeeper.gate.pause.seconds", dimensions: [], factory: factory)
        lazy var gateDrains = Timer(label: "zookeeper.gate.drain.seconds", dimensions: [], factory: factory)
        lazy var windowDrains = Timer(label: "zookeeper.window.drain.seconds", dimensions: [], factory: factory)
        lazy var lateness = Timer(label: "zookeeper.schedule.lateness.seconds", dimensions: [], factory: factory)
        lazy var gained = Counter(
            label: "zookeeper.partition.moves", dimensions: [("change", "gained")], factory: factory)
        lazy var lost = Counter(label: "zookeeper.partition.moves", dimensions: [("change", "lost")], factory: factory)

        init(factory: any MetricsFactory) { self.factory = factory }
    }

    private let handlers: Mutex<Handlers>

    init(factory: any MetricsFactory) {
        handlers = Mutex(Handlers(factory: factory))
    }

    private func handlers(for kind: GrantKind) -> GrantHandlers {
        handlers.withLock { handlers in
            if let known = handlers.grants[kind] { return known }
            let new = GrantHandlers(kind, factory: handlers.factory)
            handlers.grants[kind] = new
            return new
        }
    }

    // MARK: Grants

    /// Records the number of participants ahead of one that must wait.
    func queued(_ kind: GrantKind, behind inFront: Int) {
        handlers(for: kind).queue.record(inFront)
    }

    /// Records a grant, and its loss if one of its znodes is lost.
    ///
    /// - Parameter start: The time since when the participant has waited for the grant.
    func granted(
        _ kind: GrantKind, _ holding: Holding, since start: MonotonicInstant, by clock: any MonotonicClock
    ) -> GrantMeter {
        let (handlers, now) = (handlers(for: kind), clock.now)
        handlers.grants.increment()
        handlers.held.increment()
        handlers.waits.recordNanoseconds((now - start).nanoseconds)
        let meter = GrantMeter(self, handlers, since: now, by: clock)
        meter.observe(holding)
        return meter
    }

    fileprivate func lost(_ kind: GrantKind, _ reason: LossReason) {
        let counter = handlers.withLock { handlers in
            let loss = Loss(kind: kind, reason: reason)
            if let known = handlers.losses[loss] { return known }
            let new = Counter(
                label: "zookeeper.grant.losses", dimensions: [("recipe", kind.rawValue), ("reason", "\(reason)")],
                factory: handlers.factory)
            handlers.losses[loss] = new
            return new
        }
        counter.increment()
    }

    // MARK: Exclusive mode

    /// Records the time for which a gate was closed for windows.
    func paused(for duration: Duration) {
        handlers.withLock { $0.gatePauses }.recordNanoseconds(duration.nanoseconds)
    }

    /// Records the time from the request of a window until a gate had no event inside.
    func gateDrained(after duration: Duration) {
        handlers.withLock { $0.gateDrains }.recordNanoseconds(duration.nanoseconds)
    }

    /// Records the time from the request of a window until all processors had paused.
    func windowDrained(after duration: Duration) {
        handlers.withLock { $0.windowDrains }.recordNanoseconds(duration.nanoseconds)
    }

    // MARK: Schedules and partitions

    /// Records the time from the start of a period until its run started.
    package func started(late duration: Duration) {
        handlers.withLock { $0.lateness }.recordNanoseconds(max(.zero, duration).nanoseconds)
    }

    /// Counts a run of a schedule that has ended, or that was left out.
    package func ended(_ outcome: String) {
        let counter = handlers.withLock { handlers in
            if let known = handlers.runs[outcome] { return known }
            let new = Counter(
                label: "zookeeper.schedule.runs", dimensions: [("outcome", outcome)], factory: handlers.factory)
            handlers.runs[outcome] = new
            return new
        }
        counter.increment()
    }

    /// Counts the partitions that a node has gained and lost.
    func moved(gained: Int, lost: Int) {
        if gained > 0 { handlers.withLock { $0.gained }.increment(by: gained) }
        if lost > 0 { handlers.withLock { $0.lost }.increment(by: lost) }
    }
}

/// The measurement of one grant, from the grant until it is lost or released.
final class GrantMeter: Sendable {
    private let metrics: RecipeMetrics
    private let handlers: RecipeMetrics.GrantHandlers
    private let granted: MonotonicInstant
    private let clock: any MonotonicClock
    private let isOver = Atomic(false)

    fileprivate init(
        _ metrics: RecipeMetrics, _ handlers: RecipeMetrics.GrantHandlers, since granted: MonotonicInstant,
        by clock: any MonotonicClock
    ) {
        (self.metrics, self.handlers, self.granted, self.clock) = (metrics, handlers, granted, clock)
    }

    /// Ends the measurement at the loss of one of the znodes.
    func observe(_ holding: Holding) {
        holding.onLoss { [self] in end($0) }
    }

    /// Ends the measurement, before the znodes are released: a grant that is no longer valid counts as lost.
    func end(of holding: Holding) {
        end(holding.isValid ? nil : holding.lossReason ?? .deadlinePassed)
    }

    private func end(_ reason: LossReason?) {
        guard !isOver.exchange(true, ordering: .acquiringAndReleasing) else { return }
        handlers.held.decrement()
        handlers.holds.recordNanoseconds((clock.now - granted).nanoseconds)
        if let reason { metrics.lost(handlers.kind, reason) }
    }
}

extension ZooKeeperClient {
    /// The metrics of the recipes that use this client.
    package var recipeMetrics: RecipeMetrics { metrics { RecipeMetrics(factory: $0) } }
}
