internal import Logging
internal import ServiceLifecycle
internal import Synchronization
internal import ZooKeeper

/// Performs the actions of a subtree's state machine.
///
/// `NodeCache`, `ChildrenCache` and `TreeCache` are three scopes of it.
final class SubtreeFollower<Entry: Sendable>: Sendable {
    typealias Machine = SubtreeStateMachine

    struct State {
        var machine: Machine
        /// The watches that are set or being set, by the numbers of their reads.
        var watches: [Int: OneShotWatch] = [:]
    }

    let client: ZooKeeperClient
    let logger: Logger
    let scope: Machine.Scope
    let entries: Broadcast<Entry>
    let updates: Broadcast<CacheUpdate>
    private let runOnce = RunOnce()
    private let view: @Sendable (CacheEntry) -> Entry
    private let share = WatchShare()
    private let wakeUp = WakeUp()
    private let state: Mutex<State>

    /// Creates a follower.
    ///
    /// - Parameter view: Converts an entry to the entry that the cache shows.
    init(
        _ scope: Machine.Scope, client: ZooKeeperClient, logger: Logger,
        view: @escaping @Sendable (CacheEntry) -> Entry
    ) {
        self.view = view
        self.client = client
        self.logger = logger
        self.scope = scope
        let machine = Machine(scope, now: client.clock.now, seed: client.randomness.next())
        let entry = Self.entry(of: machine, connection: nil, clock: client.clock)
        entries = Broadcast(view(entry))
        updates = Broadcast(CacheUpdate(entry: entry, changes: []))
        state = Mutex(State(machine: machine))
    }

    var current: Entry {
        view(
            state.withLock {
                let connection = client.presentConnection.map(Machine.Connection.init)
                return Self.entry(of: $0.machine, connection: connection, clock: client.clock)
            })
    }

    func run() async throws {
        try runOnce.begin("a cache", in: .cache, path: scope.root)
        defer { end() }
        try await cancelWhenGracefulShutdown { try await self.follow() }
    }

    /// Reads on every connection, until the task is cancelled.
    private func follow() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.wakeUps() }
            for await _ in client.states {
                handle { machine, connection, now in machine.connectionChanged(to: connection, now: now) }
            }
            group.cancelAll()
        }
        guard Task.isCancelled else { throw ZooKeeperError(.clientStopped, path: scope.root) }
    }

    /// Wakes the state machine after pauses and intervals.
    private func wakeUps() async {
        while !Task.isCancelled {
            let instant = state.withLock { $0.machine.wakeUpAt }
            await wakeUp.wait(until: instant, clock: client.clock)
            handle { machine, connection, now in machine.wake(on: connection, now: now) }
        }
    }

    /// Removes the watches and ends the sequences.
    private func end() {
        let watches = state.withLock { state in
            state.machine.finish(now: client.clock.now)
            let entry = Self.entry(of: state.machine, connection: nil, clock: client.clock)
            updates.enqueueEnd(CacheUpdate(entry: entry, changes: []))
            entries.enqueueEnd(view(entry))
            defer { state.watches = [:] }
            return state.watches.orderedValues
        }
        deliver()
        for watch in watches { watch.giveUp() }
    }

    /// The actions of one decision, and the session to send them in.
    private struct Batch: Sendable {
        var actions: Machine.Actions
        var connection: (session: SessionHandle, number: Int)?
        var watches: [Int: OneShotWatch] = [:]
    }

    /// Lets the state machine handle an event, and performs its actions.
    ///
    /// This method is also called on the thread that delivers answers and events. It looks up the connection under the
    /// lock, so that no decision about an older connection comes after one about a newer connection.
    private func handle(_ decide: (inout Machine, Machine.Connection?, MonotonicInstant) -> Machine.Actions) {
        let (batch, givenUp, isWakeUpNew) = state.withLock { state -> (Batch, [OneShotWatch], Bool) in
            let wakeUpAt = state.machine.wakeUpAt
            let connection = client.presentConnection
            let present = connection.map(Machine.Connection.init)
            let actions = decide(&state.machine, present, client.clock.now)
            enqueue(&state, present)
            var batch = Batch(actions: actions, connection: connection)
            let givenUp = actions.givenUp.compactMap { state.watches.removeValue(forKey: $0.number) }
            if connection != nil {
                for read in actions.reads where read.setsWatch {
                    let watch = watch(for: read)
                    batch.watches[read.number] = watch
                    state.watches[read.number] = watch
                }
            }
            return (batch, givenUp, state.machine.wakeUpAt != wakeUpAt)
        }
        deliver()
        for watch in givenUp { watch.giveUp() }
        send(batch)
        // Only at this point: the loop that wakes up calls this method as well, and must not wake itself.
        if isWakeUpNew { wakeUp.signal() }
    }

    /// Enqueues an update and an entry under the lock, which keeps their order; call ``deliver()`` afterwards.
    private func enqueue(_ state: inout State, _ connection: Machine.Connection?) {
        guard let changes = state.machine.takePublication() else { return }
        let entry = Self.entry(of: state.machine, connection: connection, clock: client.clock)
        // The update comes first. So a reader that starts to read the updates after it saw an entry finds them up to
        // date.
        updates.enqueue(CacheUpdate(entry: entry, changes: changes))
        entries.enqueue(view(entry))
    }

    private func deliver() {
        updates.deliver()
        entries.deliver()
    }

    private func watch(for read: Machine.Read) -> OneShotWatch {
        let watch = Machine.Watch(number: read.number, key: read.key, part: read.part)
        return OneShotWatch(
            client, path: read.key.path(below: scope.root), kind: read.part == .data ? .data : .children,
            // A cache of several znodes cannot work without its watch on the root. That watch does not count against
            // the share.
            share: read.key == .root && scope.isRootVital ? nil : share
        ) { [weak self] event in self?.fired(watch, event) }
    }

    private func send(_ batch: Batch) {
        guard let (session, number) = batch.connection else { return }
        if batch.actions.catchesUp {
            session.post(.barrier(at: scope.root)) { [weak self] result in
                let succeeded = if case .success = result.asBarrier(before: .success(.none)) { true } else { false }
                self?.handle { machine, connection, now in
                    machine.caughtUp(succeeded, onConnection: number, connection: connection, now: now)
                }
            }
        }
        for read in batch.actions.reads {
            session.post(request(for: read, watch: batch.watches[read.number])) { [weak self] result in
                self?.answered(read, Machine.Answer(result))
            }
        }
    }

    private func request(for read: Machine.Read, watch: OneShotWatch?) -> SessionRequest {
        let path = watch?.path ?? read.key.path(below: scope.root)
        return switch read.question {
        case .data: .data(path: path, watch: watch?.sink)
        case .existence: .exists(path: path, watch: watch?.sink)
        case .children: .children(path: path, watch: watch?.sink)
        }
    }

    private func answered(_ read: Machine.Read, _ answer: Machine.Answer) {
        if case .failed(let error) = answer, !error.isWatchRefusal {
            logger.debug(
                "Cannot read a znode",
                metadata: ["zookeeper.path": "\(read.key.path(below: scope.root))", "zookeeper.reason": "\(error)"])
        }
        if read.setsWatch, !answer.setsWatch(of: read) {
            state.withLock { _ = $0.watches.removeValue(forKey: read.number) }
        }
        handle { machine, connection, now in machine.answered(answer, to: read, on: connection, now: now) }
    }

    private func fired(_ watch: Machine.Watch, _ event: WatchEvent) {
        state.withLock { _ = $0.watches.removeValue(forKey: watch.number) }
        handle { machine, connection, now in
            machine.fired(watch, Machine.Notice(event), on: connection, now: now)
        }
    }

    private static func entry(
        of machine: Machine, connection: Machine.Connection?, clock: any MonotonicClock
    ) -> CacheEntry {
        let since = machine.staleSince(on: connection, now: clock.now)
        return CacheEntry(
            content: machine.content, freshness: since.map { .stale(since: clock.continuousInstant($0)) } ?? .live)
    }
}

extension SubtreeStateMachine.Answer {
    fileprivate init(_ result: SessionResult) {
        switch result {
        case .success(.data(let data, let stat)): self = .data(data, stat)
        case .success(.children(let names, let stat)): self = .children(names, stat)
        case .success: self = .exists
        case .failure(let error): self = error.code == .noNode ? .missing : .failed(error)
        }
    }
}

extension SubtreeStateMachine.Connection {
    fileprivate init(_ connection: (session: SessionHandle, number: Int)) {
        self.init(epoch: connection.session.epoch, number: connection.number)
    }
}

extension SubtreeStateMachine.Notice {
    fileprivate init(_ event: WatchEvent) {
        self =
            if event.kind == .deleted {
                .deleted
            } else if event.kind == .interrupted {
                .interrupted
            } else if event.kind == .sessionEnded {
                .sessionEnded
            } else {
                .changed
            }
    }
}
