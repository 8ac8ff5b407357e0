internal import Logging
internal import Synchronization
internal import ZooKeeper

/// One run of a node, which performs the steps of its state machine.
struct PersistentNodeLoop {
    private typealias Machine = PersistentNodeStateMachine

    let node: PersistentNode
    private var session: SessionHandle?
    private var earlierSessions: [SessionID] = []
    /// The number of earlier sessions to remember; a server shows their znodes only for a moment.
    private static let rememberedSessions = 4
    private var watch: OneShotWatch?
    private var backoff: Backoff
    private var pacing: RepairPacing
    /// The data that the node's znode was last seen to hold as intended.
    private var settledData: [UInt8]?
    /// Whether a znode of this session may exist now or later.
    private var mayStand = false
    /// The creation of the node's znode in this session, as last observed.
    private var creation: (transaction: ZXID?, isUncertain: Bool) = (nil, true)
    private var loggedRefusal: ZooKeeperError?
    private var failure: ZooKeeperError?

    init(node: PersistentNode) {
        self.node = node
        let randomness = node.client.randomness
        backoff = Backoff(.slow, seed: randomness.next())
        pacing = RepairPacing(seed: randomness.next())
    }

    private var isStopping: Bool { node.stopping.value != nil }

    mutating func run() async -> ZooKeeperError? {
        let connections = Task { [node] in
            for await _ in node.client.states { node.wakeUp.signal() }
        }
        await claimPath()
        while !isStopping, node.loss == nil, let session = await nextSession() {
            creation = (nil, true)
            await keep(in: session)
            earlierSessions = (earlierSessions + [session.id]).suffix(Self.rememberedSessions)
        }
        connections.cancel()
        await leave()
        NodeClaims.release(by: node)
        return failure
    }

    /// Waits until no other node of this client maintains a znode at the path, and reports that node's znode until
    /// then.
    private mutating func claimPath() async {
        while !isStopping, let holder = NodeClaims.claim(for: node) {
            let changes = Task { [node] in
                for await _ in holder.states { node.wakeUp.signal() }
            }
            while !isStopping, holder.state != .stopped {
                mirror(holder.state)
                await node.wakeUp.wait(until: nil, clock: node.client.clock)
            }
            changes.cancel()
        }
    }

    private mutating func mirror(_ state: PersistentNodeState) {
        switch state {
        case .present(let znode), .unconfirmed(let znode), .occupied(let znode): tell(.occupied(znode))
        case .absent, .refused: tell(state)
        case .stopped: break
        }
    }

    private mutating func nextSession() async -> SessionHandle? {
        if session?.hasEnded != false { node.broadcast.send(.absent) }
        let (client, stopping) = (node.client, node.stopping)
        do {
            let session = try await unless(stopping) { try await client.connectedSession() }
            self.session = session
            return session
        } catch {
            failure = error as? ZooKeeperError
            return nil
        }
    }

    /// Maintains the znode until the session ends, the node has to stop, or a pinned znode is gone.
    private mutating func keep(in session: SessionHandle) async {
        var machine = Machine(
            session: session.id, earlierSessions: Set(earlierSessions).subtracting([session.id]), isOwn: node.isOwn)
        var step = Machine.Step.create
        while !isStopping, !session.hasEnded {
            if step.mayCreate {
                await awaitCleanUp(in: session)
                guard node.startCreation() else { return node.lose() }
            }
            let data = node.data
            let (sight, outcome) = await perform(step, data: data, in: session)
            let wanted = node.data
            let next = machine.next(after: sight, step: step, outcome: outcome, data: wanted)
            creation = (machine.creation, machine.isCreationUncertain)
            guard !session.hasEnded else { break }
            if case .present(let znode) = next.state { node.sees(znode, in: session) }
            guard node.isKept(after: sight) else { return node.lose() }
            if let state = next.state { tell(state) }
            step = await follow(next.step, wanted: wanted, in: session)
        }
        if session.hasEnded, node.isPinned { node.lose() }
    }

    /// Waits for a pending deletion at the same path.
    ///
    /// Another node of this client may just have left the path. Its deletion must not remove the znode that this node
    /// creates.
    private func awaitCleanUp(in session: SessionHandle) async {
        guard let pending = session.pendingCleanUp(of: node.path) else { return }
        _ = try? await unless(node.stopping) { try await pending.wait() }
    }

    /// Performs the wait of a step, if it has one, and returns the step to perform next.
    ///
    /// - Parameter wanted: The data that the step was decided for. If the data has changed since, no wait starts.
    private mutating func follow(
        _ step: Machine.Step, wanted: [UInt8], in session: SessionHandle
    ) async -> Machine.Step {
        switch step {
        case .create, .replace, .write:
            guard settledData == node.data, let due = pacing.start(now: node.client.clock.now) else { return step }
            await pause(until: due, wanted: wanted, in: session)
            return .look
        case .look:
            await waitForConnection(in: session)
            return .look
        case .pause:
            await pause(until: node.client.clock.now + backoff.pause(), wanted: wanted, in: session)
            return .look
        case .rest:
            backoff.reset()
            if case .present(let znode) = node.broadcast.current { settledData = znode.data }
            await rest(wanted: wanted, in: session)
            // While the watch is in place, the version is known.
            if watch?.hasFired == false, case .present(let znode) = node.broadcast.current, znode.data != node.data {
                return .write(version: znode.stat.dataVersion)
            }
            return .look
        }
    }

    /// Waits until an instant, or until other data is set, because other data may remove the reason for the pause.
    private mutating func pause(until instant: MonotonicInstant, wanted: [UInt8], in session: SessionHandle) async {
        let clock = node.client.clock
        while !isStopping, !session.hasEnded, clock.now < instant {
            guard node.data == wanted else {
                backoff.reset()
                return
            }
            await node.wakeUp.wait(until: instant, clock: clock)
        }
    }

    /// Waits until the watch has fired, other data is set, or a lost connection has been re-established.
    private mutating func rest(wanted: [UInt8], in session: SessionHandle) async {
        let number = node.client.presentConnection?.number
        while !isStopping, !session.hasEnded, watch?.hasFired == false, node.data == wanted {
            guard let connection = node.client.presentConnection, connection.session === session else {
                if case .present(let znode) = node.broadcast.current { tell(.unconfirmed(znode)) }
                await waitForConnection(in: session)
                return
            }
            guard connection.number == number else { return }
            await node.wakeUp.wait(until: nil, clock: node.client.clock)
        }
    }

    private func waitForConnection(in session: SessionHandle) async {
        while !isStopping, !session.hasEnded, node.client.presentConnection?.session !== session {
            await node.wakeUp.wait(until: nil, clock: node.client.clock)
        }
    }
}

// Reporting.
extension PersistentNodeLoop {
    /// Reports a state that has changed, and each refusal.
    private mutating func tell(_ state: PersistentNodeState) {
        let current = node.broadcast.current
        switch state {
        case .refused(let error):
            warn(of: error)
        case .occupied(let znode):
            guard state != current else { return }
            if case .occupied(let known) = current, known.stat.czxid == znode.stat.czxid { break }
            node.logger.warning(
                "The path is occupied by another owner's znode",
                metadata: ["zookeeper.path": "\(node.path)", "zookeeper.owner": "\(znode)"])
        case .present:
            loggedRefusal = nil
            fallthrough
        case .absent, .unconfirmed, .stopped:
            guard state != current else { return }
        }
        node.broadcast.send(state)
    }

    /// Logs a refusal the first time.
    private mutating func warn(of error: ZooKeeperError) {
        guard loggedRefusal?.code != error.code else { return }
        loggedRefusal = error
        node.logger.warning(
            "The ensemble refuses a znode; it is asked again with growing pauses",
            metadata: ["zookeeper.path": "\(node.path)", "zookeeper.error": "\(error)"])
    }
}

// Requests.
extension PersistentNodeLoop {
    /// Performs a step and reads the znode with a watch, in one round trip.
    private mutating func perform(
        _ step: Machine.Step, data: [UInt8], in session: SessionHandle
    ) async -> (sight: Machine.Sight, outcome: Machine.Outcome) {
        let earlier = watch
        let watch = OneShotWatch(node.client, path: node.path) { [wakeUp = node.wakeUp] _ in wakeUp.signal() }
        self.watch = watch
        // Only after the new watch is set. Otherwise the client would ask the server to remove the watch.
        defer { earlier?.giveUp() }
        let look = SessionRequest.data(path: node.path, watch: watch.sink)
        let requests = operation(of: step, data: data).map { [$0, look] } ?? [look]
        if requests.count > 1 { mayStand = true }
        guard let results = await sendAll(requests, in: session) else {
            return (.failed(ZooKeeperError(.connectionLoss)), requests.count > 1 ? .lost : .none)
        }
        let sight = Machine.Sight(results[results.count - 1])
        guard results.count > 1 else { return (sight, .none) }
        return (sight, await outcome(of: step, results[0]))
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

    /// Interprets the result of an operation, and returns `.none` if the read that follows it shows the rest.
    private mutating func outcome(
        of step: Machine.Step, _ result: SessionResult
    ) async -> Machine.Outcome {
        switch result {
        case .failure(let error) where error.isOutcomeUnknown: return .lost
        case .success(.created(_, let stat)): return .created(stat.czxid)
        case .success: return step.mayCreate ? .created(nil) : .none
        case .failure(let error) where error.code == .noNode: return step == .create ? await createParents() : .none
        case .failure(let error) where error.code == .nodeExists || error.code == .badVersion: return .none
        case .failure(let error): return error.isAboutZNode ? .refused(error) : .none
        }
    }

    private func createParents() async -> Machine.Outcome {
        do {
            try await node.client.createParents(of: node.path, acl: node.acl)
            return .none
        } catch {
            guard let error = error as? ZooKeeperError, error.isAboutZNode, !error.isOutcomeUnknown else {
                return .none
            }
            return .refused(error)
        }
    }

    /// Sends requests in one batch, and returns `nil` if the node has to stop and the connection is lost.
    private func sendAll(_ requests: [SessionRequest], in session: SessionHandle) async -> [SessionResult]? {
        let stopping = node.stopping
        return try? await node.client.run(untilDisconnectedAfter: { try await stopping.wait() }) {
            try await session.sendAll(requests)
        }
    }

    /// Deletes the node's znode.
    ///
    /// If its creation is still in progress, the deletion comes after it and finds its result.
    private mutating func leave() async {
        guard let session, !session.isGone else { return }
        // A znode that other code created in the same session is not deleted.
        guard mayStand, creation.isUncertain || creation.transaction != nil else {
            watch?.giveUp()
            return
        }
        // Deleting the znode makes its watch fire, so it is given up only afterwards.
        let transaction = creation.isUncertain ? nil : creation.transaction
        await session.cleanUpWhileConnected(.owned(path: node.path, czxid: transaction))
        watch?.giveUp()
    }
}

extension PersistentNodeStateMachine.Sight {
    fileprivate init(_ result: SessionResult) {
        switch result {
        case .success(.data(let data, let stat)): self = .present(ExistingZNode(data: data, stat: stat))
        case .success: self = .failed(ZooKeeperError(.server))
        case .failure(let error): self = error.code == .noNode ? .absent : .failed(error)
        }
    }
}
