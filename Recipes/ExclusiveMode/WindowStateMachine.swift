internal import ZooKeeper

/// Decides the actions of a window after its request, until its operation may start.
///
/// One action is performed at a time, each followed by the event that reports its outcome. A failed request is repeated
/// after a pause.
struct WindowStateMachine: Sendable {
    enum Action: Equatable {
        /// Read the data of these contenders, and watch them.
        case look([String])
        /// List the contenders, now and after each change.
        case list
        /// Wait until a contender was observed, at most until an instant.
        case awaitSighting(until: MonotonicInstant?)
        /// Record which processors are evicted, and how long their sessions may continue.
        case recordEviction(Duration)
        /// Delete the read znode of a processor.
        case evict(String)
        /// Wait until evicted processors must have stopped.
        case awaitEvicted(until: MonotonicInstant)
        /// Read which earlier windows crashed, and the current records.
        case findEarlierWindows(crashed: Bool, records: Bool)
        /// Wait for the processors and operations that earlier windows left running.
        case awaitEarlierWindows(until: MonotonicInstant)
        /// Write the records of the windows that crashed.
        case recordCrashes
        /// Wait until the window is valid on the current connection.
        case awaitValidity
        case pause(until: MonotonicInstant)
        /// Run the operation.
        case open
        /// Give up, because these participants did not pause in time.
        case abort([String])
        case fail(ZooKeeperError)
    }

    enum Event {
        case sightings([StragglerWatches.Sighting])
        /// The action was performed, or its wait has ended.
        case done
        /// Another participant has changed the data meanwhile.
        case conflict
        case failed(ZooKeeperError)
        /// The owners of the windows that crashed, and the records.
        case earlierWindows(crashed: [String], records: [WindowRecord])
    }

    private let request: WindowRequest.Facts
    private let drain: DrainPolicy
    private let configuration: ExclusiveMode.Configuration
    private var action = Action.look([])
    /// The action to perform after a pause.
    private var postponed = Action.look([])
    private(set) var tracker: DrainTracker
    /// The contenders that could not be read or watched, and the time of the next attempt.
    private var refused: [String] = []
    private var lookAgainAt: MonotonicInstant?
    /// The time from when each contender is looked at; `nil` from then on.
    private var lookAt: MonotonicInstant?
    private var lookBackoff: Backoff
    private var requestBackoff: Backoff
    /// The processors that an operator requests to evict.
    private var condemned: Set<String> = []
    private var evicting: [String] = []
    private var evictedFor = Duration.zero
    /// The participants to name if the time limit ends before earlier windows are over, and the time of that.
    private var aborting: (participants: [String], at: MonotonicInstant)?
    private var hasCrashes = false
    /// The windows, including this one, whose evictions have been waited for.
    private(set) var settled: Set<String>

    init(
        _ request: WindowRequest.Facts, drain: DrainPolicy, configuration: ExclusiveMode.Configuration, seed: UInt64
    ) {
        self.request = request
        self.drain = drain
        self.configuration = configuration
        tracker = DrainTracker(listing: request.listing, own: request.own, members: request.members)
        lookBackoff = Backoff(.slow, seed: seed)
        requestBackoff = Backoff(.quick, seed: seed)
        settled = [request.id]
    }

    /// The time for which many contenders are only listed: most processors pause at once.
    private static let listingTime = Duration.milliseconds(100)
    /// Up to so many contenders are looked at from the start.
    private static let fewContenders = 2

    mutating func start() -> Action {
        guard tracker.waiting.count > Self.fewContenders else { return lookAtAll() }
        lookAt = request.answered + Self.listingTime
        return go(.list)
    }

    private mutating func lookAtAll() -> Action {
        lookAt = nil
        return go(.look(tracker.waiting.keys.sorted().strings))
    }

    mutating func handle(_ event: Event, now: MonotonicInstant) -> Action {
        switch (action, event) {
        case (_, .failed(let error)) where !error.isTransientInSession: return go(.fail(error))
        case (_, .failed), (_, .conflict):
            postponed = action
            return go(.pause(until: now + requestBackoff.pause()))
        case (.pause, _): return go(postponed)
        default:
            requestBackoff.reset()
            return proceed(event, now: now)
        }
    }

    private mutating func proceed(_ event: Event, now: MonotonicInstant) -> Action {
        switch (action, event) {
        case (.awaitSighting, .sightings(let sightings)):
            for sighting in sightings { note(sighting, now: now) }
            return awaitPauses(now: now)
        case (.look, _), (.list, _), (.awaitSighting, _): return awaitPauses(now: now)
        case (.recordEviction, _): return evictNext(now: now)
        case (.evict, _):
            evicting.removeFirst()
            return evictNext(now: now)
        // What the other processors have done during the wait comes first.
        case (.awaitEvicted, _): return tracker.isDrained ? findEarlierWindows() : go(.awaitSighting(until: now))
        case (.findEarlierWindows, .earlierWindows(let crashed, let records)):
            return awaitEarlierWindows(crashed: crashed, records: records, now: now)
        case (.awaitEarlierWindows, _):
            if let aborting, aborting.at <= now { return go(.abort(aborting.participants)) }
            tracker.forgetSlowest()
            return recordCrashes()
        case (.recordCrashes, _): return go(.awaitValidity)
        case (.awaitValidity, _): return go(.open)
        // Unexpected: performing the same action again might never end.
        default: return go(.fail(ZooKeeperError(.server, message: "a window cannot continue from \(action)")))
        }
    }

    // MARK: Processors

    private mutating func note(_ sighting: StragglerWatches.Sighting, now: MonotonicInstant) {
        switch sighting {
        case .seen(let node, let data):
            tracker.seen(node, data: data)
            // If every contender could be read, the next pause is short again.
            if refused.isEmpty { lookBackoff.reset() }
        case .unreadable(let node): tracker.unreadable(node)
        case .gone(let node): tracker.gone(node)
        case .listed(let names):
            for node in tracker.waiting.keys.filter({ !names.contains($0) }).sorted() { tracker.gone(node.string) }
        case .notListed: lookAt = lookAt.map { _ in now }
        case .evictionRequested(let name): condemned.insert(name)
        case .failed(let node, _):
            refused.append(node)
            lookAgainAt = lookAgainAt ?? now + lookBackoff.pause()
        }
    }

    private mutating func awaitPauses(now: MonotonicInstant) -> Action {
        guard !tracker.isDrained else { return findEarlierWindows() }
        let limit = drain.timeout.map { request.requested + $0 }
        // What the contenders' znodes contain is needed for reports and for evictions.
        let mayEvict = !condemned.isEmpty || (drain.evicts && limit.map { $0 <= now } == true)
        if let at = lookAt, at <= now || mayEvict { return lookAtAll() }
        if tracker.canEvict(condemned) { return evict(condemned) }
        // The window waits as long as an evicted processor's session may last, which the processor's znode specifies.
        if let limit, limit <= now, !drain.evicts || tracker.isKnown {
            guard drain.evicts else { return go(.abort(tracker.stragglers)) }
            return evict(nil)
        }
        if let at = lookAgainAt, at <= now {
            defer { (refused, lookAgainAt) = ([], nil) }
            return go(.look(refused))
        }
        return go(.awaitSighting(until: [limit, lookAgainAt, lookAt].compactMap { $0 }.filter { $0 > now }.min()))
    }

    /// Evicts processors that have not paused.
    ///
    /// - Parameter names: The IDs of the processors; `nil` evicts all.
    private mutating func evict(_ names: Set<String>?) -> Action {
        (evicting, evictedFor) = tracker.evict(names, assumed: configuration.assumedSessionTimeout)
        return go(.recordEviction(evictedFor))
    }

    /// Evicts the next processor, or waits for the evicted ones.
    ///
    /// After the deletion of its read znode, a processor's heartbeats fail. The validity that earlier heartbeats
    /// confirmed ends within its session timeout.
    private mutating func evictNext(now: MonotonicInstant) -> Action {
        go(evicting.first.map { .evict($0) } ?? .awaitEvicted(until: now + evictedFor))
    }

    // MARK: Earlier windows

    private mutating func findEarlierWindows() -> Action {
        go(.findEarlierWindows(crashed: request.isAfterCrash, records: tracker.isBehindAnother))
    }

    /// Waits for what earlier windows left running: evicted processors, and the operations of windows that crashed.
    ///
    /// The records of the crashed windows are written afterwards.
    private mutating func awaitEarlierWindows(
        crashed: [String], records: [WindowRecord], now: MonotonicInstant
    ) -> Action {
        let unsettled = records.filter { $0.outcome == .evicting && $0.id != request.id }
        var end = unsettled.compactMap(\.evictionTime).max().map { now + $0 } ?? .distantPast
        if !crashed.isEmpty { end = max(end, request.answered + configuration.resumeDelay) }
        settled.formUnion(unsettled.map(\.id))
        hasCrashes = !crashed.isEmpty
        guard now < end else { return recordCrashes() }
        if case .abort(let timeout) = drain.kind, request.requested + timeout < end {
            end = request.requested + timeout
            aborting = (Set(unsettled.flatMap(\.evicted) + crashed).sorted(), end)
        }
        return go(.awaitEarlierWindows(until: end))
    }

    private mutating func recordCrashes() -> Action {
        go(hasCrashes ? .recordCrashes : .awaitValidity)
    }

    private mutating func go(_ action: Action) -> Action {
        self.action = action
        return action
    }
}
