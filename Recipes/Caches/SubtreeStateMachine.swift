internal import DequeModule
internal import ZooKeeper

/// Decides which znodes below a root are read again, and how to apply the answers.
///
/// Each znode has two parts: its data and the list of its children. A part is due when its watch has fired. It is
/// settled by an answer on the current connection, with a watch set. The machine relies only on the order of requests,
/// answers and events in a session: an answer includes every change that the server notified about before it.
///
/// - On a new connection of the same session, the watches are kept. The server notifies about changes in the meantime
///   before its first answer. So the root is read once more, and nothing else.
/// - After a change of the session, or of the servers below it, everything is read again, after a barrier.
/// - The number of reads in progress is limited. If watches would take too much room, parts are read again at
///   intervals.
struct SubtreeStateMachine: Sendable {
    let scope: Scope
    var nodes: [ZNodeKey: Node] = [:]
    /// Whether the root seems to be missing, so that its existence is read.
    var isRootMissing = false
    /// The last observed write to the root.
    ///
    /// Once the root was missing, it is the first transaction after that write.
    var newestRoot: ZXID?
    /// The content of the root while there is no snapshot of it.
    var rootContent: CacheEntry.Content? = .unknown
    var snapshot: CacheSnapshot
    var changes: [CacheChange] = []

    private var connection: Connection?
    private var lastConnection: Connection?
    private var mustCatchUp = false
    private var isCatchingUp = false
    private var catchUpAt: MonotonicInstant?
    private var isFinished = false
    private var queue = Deque<Place>()
    private var reads: [Int: Read] = [:]
    private var nextNumber = 0
    var watchedBytes = 0

    // The parts that are due, in the order in which this was noticed.
    private var notices = Deque<(ticket: Int, at: MonotonicInstant)>()
    private var open: Set<Int> = []
    private var lastTicket = 0
    /// The first snapshot is complete when no part up to this ticket is due.
    var loadsUpTo: Int? = .max

    private var failed: [Place] = []
    /// Whether a part that is due waits for the end of a pause.
    private var isHeldUp = false
    private var backoff: Backoff
    private var retryAt: MonotonicInstant?
    private var unwatched: [Place] = []
    private var lookAt: MonotonicInstant?

    private var actions = Actions()
    private var isChanged = false
    private var isPublishedLive = false

    /// Creates a state machine.
    ///
    /// - Parameter seed: The seed of the random generator that shortens the pauses after failures.
    init(_ scope: Scope, now: MonotonicInstant, seed: UInt64) {
        self.scope = scope
        snapshot = CacheSnapshot(root: scope.root)
        backoff = Backoff(.slow, seed: seed)
        nodes[.root] = Node(depth: 0)
        markRoot(now)
    }

    // MARK: Content

    var content: CacheEntry.Content { rootContent ?? .present(snapshot) }

    /// The time at which to call ``wake(on:now:)`` if nothing else happens.
    var wakeUpAt: MonotonicInstant? {
        [retryAt, lookAt, catchUpAt].compactMap(\.self).min()
    }

    /// Returns the instant since which the content is stale, or `nil` if it is live on the connection.
    func staleSince(on connection: Connection?, now: MonotonicInstant) -> MonotonicInstant? {
        if let oldest = notices.first { return oldest.at }
        return connection == self.connection ? nil : now
    }

    /// Returns the changes to publish, or `nil` if there is nothing new to publish.
    ///
    /// A read in progress is not published. A read that has failed and waits for a retry is.
    mutating func takePublication() -> [CacheChange]? {
        let isLive = notices.isEmpty && connection != nil
        let isRefreshing = !isLive && connection != nil && !isHeldUp && catchUpAt == nil && !isFinished
        guard isChanged || isLive != isPublishedLive && (isLive || !isRefreshing) else { return nil }
        (isChanged, isPublishedLive) = (false, isLive)
        defer { changes = [] }
        return changes
    }

    /// All watches that are set, for the end of the cache.
    var watches: [Watch] {
        nodes.flatMap { key, node in
            [Part.data, .children].compactMap { part in
                node[part].watch.map { Watch(number: $0, key: key, part: part) }
            }
        }.sorted { $0.number < $1.number }
    }

    // MARK: Events

    /// Handles a new connection, another one, or the loss of the connection.
    mutating func connectionChanged(to connection: Connection?, now: MonotonicInstant) -> Actions {
        follow(connection, now)
        return takeActions(now)
    }

    /// Handles a watch that has fired.
    mutating func fired(
        _ watch: Watch, _ notice: Notice, on connection: Connection?, now: MonotonicInstant
    ) -> Actions {
        follow(connection, now)
        guard nodes[watch.key]?[watch.part].watch == watch.number else { return takeActions(now) }
        dropWatch(Place(key: watch.key, part: watch.part))
        switch notice {
        case .interrupted, .sessionEnded:
            catchUpFirst()
            mark(watch.key, watch.part, now)
        case .deleted where watch.key != .root: remove(watch.key)
        case .deleted: missRoot(now)
        case .changed where watch.key == .root && watch.part == .data: standRoot(now)
        case .changed: mark(watch.key, watch.part, now)
        }
        return takeActions(now)
    }

    /// Handles the answer to the barrier.
    ///
    /// - Parameter number: The number of the connection on which the barrier was sent.
    mutating func caughtUp(
        _ succeeded: Bool, onConnection number: Int, connection: Connection?, now: MonotonicInstant
    ) -> Actions {
        follow(connection, now)
        guard isCatchingUp, number == self.connection?.number else { return takeActions(now) }
        isCatchingUp = false
        if succeeded { mustCatchUp = false } else { catchUpAt = now + backoff.pause() }
        return takeActions(now)
    }

    /// Handles the answer to a read.
    mutating func answered(
        _ answer: Answer, to read: Read, on connection: Connection?, now: MonotonicInstant
    ) -> Actions {
        follow(connection, now)
        reads[read.number] = nil
        let place = Place(key: read.key, part: read.part)
        let isSet = read.setsWatch && answer.setsWatch(of: read)
        if read.setsWatch, !isSet { watchedBytes -= size(of: read.key) }
        guard nodes[read.key]?[read.part].reading == read.number else {
            // The read was sent on another connection, or its znode has been removed in the meantime.
            if isSet { giveUp(Watch(number: read.number, key: read.key, part: read.part)) }
            return takeActions(now)
        }
        nodes[read.key]?[read.part].reading = nil
        if isSet { nodes[read.key]?[read.part].watch = read.number }
        take(answer, at: place, now)
        return takeActions(now)
    }

    /// Handles the possible end of a pause or an interval.
    mutating func wake(on connection: Connection?, now: MonotonicInstant) -> Actions {
        follow(connection, now)
        if let retryAt, retryAt <= now { retry(now) }
        if let lookAt, lookAt <= now { look(now) }
        if let catchUpAt, catchUpAt <= now { self.catchUpAt = nil }
        return takeActions(now)
    }

    /// Handles the end of the cache.
    mutating func finish(now: MonotonicInstant) {
        follow(nil, now)
        isFinished = true
        (retryAt, lookAt, catchUpAt) = (nil, nil, nil)
    }
}

// MARK: Parts that are due

extension SubtreeStateMachine {
    /// Marks a part to be read.
    mutating func mark(_ key: ZNodeKey, _ part: Part, _ now: MonotonicInstant) {
        let place = Place(key: key, part: part)
        becomeStale(place, now)
        guard let state = nodes[key]?[part], state.reading == nil, !state.isQueued else { return }
        nodes[key]?[part].isQueued = true
        queue.append(place)
    }

    /// Records that a part is not known to be up to date from now on.
    private mutating func becomeStale(_ place: Place, _ now: MonotonicInstant) {
        guard let state = nodes[place.key]?[place.part], state.ticket == nil else { return }
        lastTicket += 1
        nodes[place.key]?[place.part].ticket = lastTicket
        open.insert(lastTicket)
        notices.append((lastTicket, now))
    }

    /// The ticket of the last notice.
    var newestTicket: Int { lastTicket }

    func ticket(of place: Place) -> Int? { nodes[place.key]?[place.part].ticket }

    /// Records that the answer about a part is the newest.
    mutating func close(_ place: Place) {
        guard let ticket = nodes[place.key]?[place.part].ticket else { return }
        nodes[place.key]?[place.part].ticket = nil
        open.remove(ticket)
        prune()
    }

    private mutating func prune() {
        while let first = notices.first, !open.contains(first.ticket) { notices.removeFirst() }
        // A part whose read failed may have been deleted.
        if notices.isEmpty { isHeldUp = false }
        guard let loadsUpTo, connection != nil else { return }
        if notices.first.map({ $0.ticket > loadsUpTo }) ?? true { loaded() }
    }

    /// Closes a part after its answer was applied, or reads it once more to set its watch.
    mutating func settle(_ place: Place, _ now: MonotonicInstant) {
        guard let state = nodes[place.key]?[place.part] else { return }
        if state.watch == nil {
            if wantsWatch(place) { return mark(place.key, place.part, now) }
            if place.key == .root { return poll(place, now) }
            unwatched.append(place)
            lookAt = lookAt ?? now + scope.interval
        }
        close(place)
    }

    /// Schedules another read of the root after a pause, because there is no room for its watch.
    ///
    /// Until then, the content is as old as this read.
    private mutating func poll(_ place: Place, _ now: MonotonicInstant) {
        nodes[place.key]?[place.part].isWatchRefused = false
        close(place)
        becomeStale(place, now)
        fail(place, now)
    }

    /// Whether a part has to be watched, and there is room for the watch.
    func wantsWatch(_ place: Place) -> Bool {
        guard nodes[place.key]?[place.part].isWatchRefused == false else { return false }
        return place.key == .root || watchedBytes + size(of: place.key) <= scope.watchBudget
    }

    func size(of key: ZNodeKey) -> Int {
        scope.root.utf8.count + key.text.utf8.count + 1 + scope.pathOverhead
    }

    /// Schedules another read of a part after a pause, because its read has failed.
    mutating func fail(_ place: Place, _ now: MonotonicInstant) {
        failed.append(place)
        if ticket(of: place) != nil { isHeldUp = true }
        retryAt = retryAt ?? now + backoff.pause()
    }

    private mutating func retry(_ now: MonotonicInstant) {
        let places = failed
        (failed, retryAt, isHeldUp) = ([], nil, false)
        for place in places { mark(place.key, place.part, now) }
    }

    private mutating func look(_ now: MonotonicInstant) {
        let places = unwatched
        (unwatched, lookAt) = ([], nil)
        for place in places {
            // There may be room for a watch by now.
            nodes[place.key]?[place.part].isWatchRefused = false
            mark(place.key, place.part, now)
        }
    }

    mutating func noteChange(_ change: CacheChange?) {
        isChanged = true
        if let change { changes.append(change) }
    }

    /// Marks the root to be read again, whether it seems to exist or not.
    mutating func markRoot(_ now: MonotonicInstant) {
        if isRootMissing || scope.showsRoot { mark(.root, .data, now) }
        if !isRootMissing, scope.depth > 0, nodes[.root]?.data.ticket == nil { mark(.root, .children, now) }
    }

    mutating func giveUp(_ watch: Watch) {
        watchedBytes -= size(of: watch.key)
        actions.givenUp.append(watch)
    }

    mutating func dropWatch(_ place: Place) {
        guard nodes[place.key]?[place.part].watch != nil else { return }
        nodes[place.key]?[place.part].watch = nil
        watchedBytes -= size(of: place.key)
    }
}

// MARK: The connection

extension SubtreeStateMachine {
    private mutating func follow(_ connection: Connection?, _ now: MonotonicInstant) {
        guard connection != self.connection, !isFinished else { return }
        self.connection = connection
        (isCatchingUp, catchUpAt) = (false, nil)
        // All notifications arrive before the next answer about the root.
        markRoot(now)
        askAgain()
        guard let connection else { return }
        let last = lastConnection
        lastConnection = connection
        guard let last else { return }
        if last.epoch != connection.epoch {
            forgetWatches(now)
        } else if nodes[.root]?.data.watch == nil, nodes[.root]?.children.watch == nil {
            catchUpFirst()
        }
        retry(now)
        look(now)
    }

    /// Forgets all watches, which have ended with their session.
    private mutating func forgetWatches(_ now: MonotonicInstant) {
        for key in nodes.keys.sorted() {
            for part in [Part.data, .children] where nodes[key]?[part].watch != nil {
                dropWatch(Place(key: key, part: part))
                mark(key, part, now)
            }
        }
        catchUpFirst()
    }

    /// Requires a barrier before the next read, and repeats the reads in progress.
    ///
    /// The server may be behind what was read on another connection.
    private mutating func catchUpFirst() {
        guard !mustCatchUp else { return }
        mustCatchUp = true
        askAgain()
    }

    /// Handles an answer that is older than the cached content.
    mutating func fallBehind(_ place: Place, _ now: MonotonicInstant) {
        catchUpFirst()
        fail(place, now)
    }

    /// Queues the reads in progress to be sent once more.
    private mutating func askAgain() {
        for number in reads.keys.sorted() {
            guard let read = reads[number], nodes[read.key]?[read.part].reading == number else { continue }
            nodes[read.key]?[read.part].reading = nil
            nodes[read.key]?[read.part].isQueued = true
            queue.append(Place(key: read.key, part: read.part))
        }
    }

    private mutating func takeActions(_ now: MonotonicInstant) -> Actions {
        if failed.isEmpty, catchUpAt == nil, notices.isEmpty { backoff.reset() }
        send()
        defer { actions = Actions() }
        return actions
    }

    private mutating func send() {
        guard let connection, !isFinished, !isCatchingUp else { return }
        if mustCatchUp {
            guard catchUpAt == nil else { return }
            isCatchingUp = true
            actions.catchesUp = true
            return
        }
        while reads.count < scope.maximumConcurrentReads, let place = queue.popFirst() {
            guard let state = nodes[place.key]?[place.part], state.isQueued else { continue }
            nextNumber += 1
            let setsWatch = state.watch == nil && wantsWatch(place)
            if setsWatch { watchedBytes += size(of: place.key) }
            let read = Read(
                number: nextNumber, key: place.key, question: question(at: place), setsWatch: setsWatch,
                connection: connection.number)
            nodes[place.key]?[place.part].isQueued = false
            nodes[place.key]?[place.part].reading = nextNumber
            reads[nextNumber] = read
            actions.reads.append(read)
        }
    }

    private func question(at place: Place) -> Read.Question {
        if place.part == .children { return .children }
        return place.key == .root && (isRootMissing || !scope.showsRoot) ? .existence : .data
    }
}
