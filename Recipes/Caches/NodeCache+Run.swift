internal import Logging
internal import Synchronization
internal import ZooKeeper

extension NodeCache {
    func begin() throws(ZooKeeperError) {
        let isFirst = state.withLock { state in
            defer { state.hasRun = true }
            return !state.hasRun
        }
        guard isFirst else { throw ZooKeeperError(.invalidArgument, message: "a cache runs once") }
    }

    /// Reads on every connection, until the task is cancelled.
    func follow() async throws {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.retries() }
            for await _ in client.states {
                handle { machine, connection, now in machine.connectionChanged(to: connection, now: now) }
            }
            group.cancelAll()
        }
        guard Task.isCancelled else { throw ZooKeeperError(.clientStopped, path: path) }
    }

    /// Tries again what has failed, after its pause.
    private func retries() async {
        while !Task.isCancelled {
            let pausedUntil = state.withLock { $0.machine.pausedUntil }
            await retryWakeUp.wait(until: pausedUntil, clock: client.clock)
            handle { machine, connection, now in machine.retry(on: connection, now: now) }
        }
    }

    /// Takes the watch away; nothing comes after this.
    func end() {
        let watch = state.withLock { state in
            state.machine.finish(now: client.clock.now)
            published.finish(Self.entry(of: state.machine, connection: nil, clock: client.clock))
            defer { state.watch = nil }
            return state.watch
        }
        if let watch { watch.session.giveUp(watch.sink, at: path, kind: .data) }
    }

    /// Has the machine decide about something that happened, and performs it.
    ///
    /// Also called on the thread that delivers answers and events. The connection is looked up under the lock, so that no
    /// decision about an older one comes after a decision about a newer one.
    private func handle(
        _ decide: (inout NodeCacheStateMachine, NodeCacheStateMachine.Connection?, MonotonicInstant) ->
            NodeCacheStateMachine.Read?
    ) {
        let (flight, isPauseNew) = state.withLock { state -> (Flight?, Bool) in
            let pausedUntil = state.machine.pausedUntil
            let connection = client.presentConnection
            let present = connection.map(NodeCacheStateMachine.Connection.init)
            let read = decide(&state.machine, present, client.clock.now)
            // Sent under the lock, which keeps the entries in order; nobody's code runs for it.
            if state.machine.takePublication(on: present) {
                published.send(Self.entry(of: state.machine, connection: connection, clock: client.clock))
            }
            let isPauseNew = state.machine.pausedUntil != pausedUntil
            guard let read, let session = connection?.session else { return (nil, isPauseNew) }
            guard read.setsWatch else { return (Flight(read: read, session: session), isPauseNew) }
            let sink = WatchSink(share: share) { [weak self] event in self?.fired(event) }
            state.watch = (sink, session)
            return (Flight(read: read, session: session, sink: sink), isPauseNew)
        }
        if let flight { send(flight) }
        // Only then: the loop that retries comes through here as well, and must not wake itself.
        if isPauseNew { retryWakeUp.signal() }
    }

    /// A read that was decided on.
    private struct Flight: Sendable {
        var read: NodeCacheStateMachine.Read
        var session: LiveSession
        var sink: WatchSink?
    }

    private func send(_ flight: Flight) {
        guard flight.read.catchesUp else { return sendRead(flight) }
        flight.session.post(.barrier(at: path)) { [weak self] result in
            switch result.asBarrier(before: .success(.none)) {
            case .success: self?.sendRead(flight)
            case .failure(let error): self?.answered(.failed(error))
            }
        }
    }

    private func sendRead(_ flight: Flight) {
        let request: SessionRequest =
            switch flight.read.kind {
            case .data: .data(path: path, watch: flight.sink)
            case .existence: .exists(path: path, watch: flight.sink)
            }
        flight.session.post(request) { [weak self] result in
            self?.answered(NodeCacheStateMachine.Answer(result))
        }
    }

    private func answered(_ answer: NodeCacheStateMachine.Answer) {
        if case .failed(let error) = answer, !error.isWatchRefusal {
            logger.debug(
                "Cannot read a znode", metadata: ["zookeeper.path": "\(path)", "zookeeper.reason": "\(error)"])
        }
        handle { machine, connection, now in machine.answered(answer, on: connection, now: now) }
    }

    private func fired(_ event: WatchEvent) {
        handle { machine, connection, now in
            machine.fired(NodeCacheStateMachine.Notice(event), on: connection, now: now)
        }
    }

    static func entry(
        of machine: NodeCacheStateMachine, connection: (session: LiveSession, number: Int)?, clock: any MonotonicClock
    ) -> Entry {
        let since = machine.staleSince(on: connection.map(NodeCacheStateMachine.Connection.init), now: clock.now)
        return Entry(
            content: machine.content,
            freshness: since.map { .stale(since: clock.continuousInstant($0)) } ?? .live)
    }
}

extension NodeCacheStateMachine.Connection {
    init(_ connection: (session: LiveSession, number: Int)) {
        self.init(epoch: connection.session.epoch, number: connection.number)
    }
}

extension NodeCacheStateMachine.Answer {
    fileprivate init(_ result: SessionResult) {
        switch result {
        case .success(.data(let data, let stat)): self = .data(data, stat)
        case .success: self = .exists
        case .failure(let error): self = error.code == .noNode ? .missing : .failed(error)
        }
    }
}

extension NodeCacheStateMachine.Notice {
    init(_ event: WatchEvent) {
        self =
            if event.isDeleted {
                .deleted
            } else if event.isInterrupted {
                .interrupted
            } else if event.isSessionEnded {
                .sessionEnded
            } else {
                .changed
            }
    }
}
