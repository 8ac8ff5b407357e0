internal import Logging
internal import Synchronization
internal import ZooKeeper

/// Performs what a node's state machine decides; one run of a node.
struct PersistentNodeLoop {
    private typealias Machine = PersistentNodeStateMachine

    let node: PersistentNode
    private var session: LiveSession?
    private var earlierSessions: Set<SessionID> = []
    private var watch: NodeWatch?
    private var backoff: Backoff
    /// Whether something of this session may stand, or may come to stand.
    private var mayStand = false
    private var failure: ZooKeeperError?

    init(node: PersistentNode) {
        self.node = node
        backoff = Backoff(initial: .milliseconds(50), cap: .seconds(5), seed: node.client.randomness.next())
    }

    private var isStopping: Bool { node.stopping.value != nil }

    mutating func run() async -> ZooKeeperError? {
        let connections = Task { [node] in
            for await _ in node.client.states { node.wakeUp.signal() }
        }
        while !isStopping, let session = await nextSession() {
            await keep(in: session)
            earlierSessions.insert(session.id)
        }
        connections.cancel()
        await leave()
        return failure
    }

    private mutating func nextSession() async -> LiveSession? {
        if session?.hasEnded != false { node.broadcast.send(.absent) }
        let (client, stopping) = (node.client, node.stopping)
        do {
            let session = try await unless(stopping) { try await client.liveSession() }
            self.session = session
            return session
        } catch {
            failure = error as? ZooKeeperError
            return nil
        }
    }

    /// Keeps the znode standing until the session ends, or the node is to stop.
    private mutating func keep(in session: LiveSession) async {
        var machine = Machine(
            session: session.id, earlierSessions: earlierSessions.subtracting([session.id]), isOwn: node.isOwn)
        var step = Machine.Step.create
        await awaitCleanUp(in: session)
        while !isStopping, !session.hasEnded {
            let data = node.data
            let (sight, refusal) = await perform(step, data: data, in: session)
            guard !session.hasEnded else { break }
            let next = machine.next(after: sight, data: node.data, refusal: refusal)
            if let state = next.state { tell(state) }
            step = await follow(next.step, in: session)
        }
    }

    /// Somebody of this process has just left the same place: what is created now must not be deleted for that one.
    private func awaitCleanUp(in session: LiveSession) async {
        guard let pending = session.pendingCleanUp(of: node.path) else { return }
        _ = try? await unless(node.stopping) { try await pending.wait() }
    }

    /// Waits where a step is a wait; gives the step that is to be performed.
    private mutating func follow(_ step: Machine.Step, in session: LiveSession) async -> Machine.Step {
        switch step {
        case .create, .replace, .write: return step
        case .look:
            await waitForConnection(in: session)
            return .look
        case .pause:
            let until = node.client.clock.now + backoff.pause()
            while !isStopping, !session.hasEnded, node.client.clock.now < until {
                await node.wakeUp.wait(until: until, clock: node.client.clock)
            }
            return .look
        case .rest:
            backoff.reset()
            await rest(in: session)
            // With the watch in place the version is known.
            if watch?.hasFired == false, case .standing(let znode) = node.broadcast.current, znode.data != node.data {
                return .write(version: znode.stat.dataVersion)
            }
            return .look
        }
    }

    /// Until the watch has fired, the data is to be another, or a connection was lost and is there again.
    private func rest(in session: LiveSession) async {
        let number = node.client.presentConnection?.number
        let data = node.data
        while !isStopping, !session.hasEnded, watch?.hasFired == false, data == node.data {
            guard let connection = node.client.presentConnection, connection.session === session else {
                if case .standing(let znode) = node.broadcast.current { tell(.unconfirmed(znode)) }
                await waitForConnection(in: session)
                return
            }
            guard connection.number == number else { return }
            await node.wakeUp.wait(until: nil, clock: node.client.clock)
        }
    }

    private func waitForConnection(in session: LiveSession) async {
        while !isStopping, !session.hasEnded, node.client.presentConnection?.session !== session {
            await node.wakeUp.wait(until: nil, clock: node.client.clock)
        }
    }

    private func tell(_ state: PersistentNodeState) {
        guard state != node.broadcast.current else { return }
        if case .occupied(let znode) = state {
            node.logger.warning(
                "Somebody else's znode is in the place of an own one",
                metadata: ["zookeeper.path": "\(node.path)", "zookeeper.owner": "\(znode)"])
        }
        node.broadcast.send(state)
    }

    // MARK: What is sent

    /// Performs a step and looks at the znode with a watch, in one flight.
    private mutating func perform(
        _ step: Machine.Step, data: [UInt8], in session: LiveSession
    ) async -> (sight: Machine.Sight, refusal: ZooKeeperError?) {
        let earlier = watch
        let watch = NodeWatch(wakeUp: node.wakeUp)
        self.watch = watch
        // Only when the new one is set: else the server would be told to forget it.
        defer { giveUp(earlier, in: session) }
        let look = SessionRequest.data(path: node.path, watch: watch.sink)
        let requests = operation(of: step, data: data).map { [$0, look] } ?? [look]
        if requests.count > 1 { mayStand = true }
        guard let results = await flight(requests, in: session) else {
            return (.failed(ZooKeeperError(.connectionLoss)), nil)
        }
        let sight = Machine.Sight(results[results.count - 1])
        guard results.count > 1, case .failure(let error) = results[0] else { return (sight, nil) }
        return (sight, await refusal(error))
    }

    private func operation(of step: Machine.Step, data: [UInt8]) -> SessionRequest? {
        let path = node.path
        return switch step {
        case .create: .create(path: path, data: data, mode: .ephemeral, acl: node.acl)
        case .replace(let version):
            .multi([.delete(path, version: version), .create(path, data: data, mode: .ephemeral, acl: node.acl)])
        case .write(let version): .setData(path: path, data: data, version: version)
        case .look, .rest, .pause: nil
        }
    }

    /// What the failure of an operation is worth: nothing where the look tells the rest.
    private func refusal(_ error: ZooKeeperError) async -> ZooKeeperError? {
        switch error.code {
        case .nodeExists, .badVersion: return nil
        case .noNode:
            do {
                try await node.client.createParents(of: node.path, acl: node.acl)
                return nil
            } catch {
                return error as? ZooKeeperError
            }
        default: return error.isAboutZNode && !error.isOutcomeUnknown ? error : nil
        }
    }

    /// Sends requests; gives `nil` when the node is to stop and the connection is lost.
    private func flight(_ requests: [SessionRequest], in session: LiveSession) async -> [SessionResult]? {
        let (client, stopping) = (node.client, node.stopping)
        return await withTaskGroup(of: [SessionResult]?.self) { group in
            group.addTask { try? await session.flight(requests) }
            group.addTask {
                guard (try? await stopping.wait()) != nil else { return nil }
                for await state in client.states where !state.isConnected { break }
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    private func giveUp(_ watch: NodeWatch?, in session: LiveSession) {
        if let watch, !watch.hasFired { session.giveUp(watch.sink, at: node.path, kind: .data) }
    }

    /// Deletes the own znode.
    ///
    /// Its creation may still be on its way: what comes of that is looked for after it.
    private mutating func leave() async {
        guard let session, !session.hasEnded else { return }
        guard mayStand else { return giveUp(watch, in: session) }
        // The deletion of the znode uses its watch up.
        await session.cleanUpWhileConnected(.owned(path: node.path))
        giveUp(watch, in: session)
    }
}

/// A watch on the znode, which wakes the loop.
private final class NodeWatch: Sendable {
    private let fired = OneShot<Void>()
    let sink: WatchSink

    init(wakeUp: WakeUp) {
        sink = WatchSink { [fired] _ in
            fired.set(())
            wakeUp.signal()
        }
    }

    var hasFired: Bool { fired.value != nil }
}

extension PersistentNodeStateMachine.Sight {
    fileprivate init(_ result: SessionResult) {
        switch result {
        case .success(.data(let data, let stat)): self = .present(StandingZNode(data: data, stat: stat))
        case .success: self = .failed(ZooKeeperError(.server))
        case .failure(let error): self = error.code == .noNode ? .absent : .failed(error)
        }
    }
}

/// Waits for an operation, or for something that ends the wait, which gives `nil`.
func unless<Value: Sendable>(
    _ end: OneShot<Void>, _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value? {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await operation() }
        group.addTask {
            try await end.wait()
            return nil
        }
        defer { group.cancelAll() }
        return try await group.next() ?? nil
    }
}
