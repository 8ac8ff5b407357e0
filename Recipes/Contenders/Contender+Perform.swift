internal import Synchronization
internal import ZooKeeper

extension Contender {
    typealias Machine = ContenderStateMachine

    /// Starts an action; its result is passed back as an input of this step.
    func perform(_ action: Machine.Action, step: Int) {
        switch action {
        case .awaitSession(let isRetry): awaitSession(isRetry: isRetry, step: step)
        case .look: post([.children(path: directory)]) { $0.receive(.looked($1[0].names), step: step) }
        case .join(let base, let discarding): join(base: base, discarding: discarding, step: step)
        case .createParents: createParents(step: step)
        case .find:
            post([.barrier(at: directory), .children(path: directory)]) { contender, results in
                contender.receive(.found(results[0].asBarrier(before: results[1]).names), step: step)
            }
        case .inspect(let names): inspect(names, step: step)
        case .list(let own, let discarding): list(own: own, discarding: discarding, step: step)
        case .watch(let name, let own): watch(name, own: own, step: step)
        case .watchDirectory(let name): watchDirectory(name, step: step)
        case .move(let move): perform(move)
        case .hold(let own): hold(own, step: step)
        case .prove(let own): prove(own, step: step)
        case .pause: pause(step: step)
        case .finish(let outcome, let cleanUp): finish(outcome, cleanUp: cleanUp)
        }
    }

    /// Sends a batch of requests in the current session.
    private func post(
        _ requests: [SessionRequest], completion: @escaping @Sendable (Contender, [SessionResult]) -> Void
    ) {
        guard let session = state.withLock({ $0.session }) else { return }
        session.post(requests) { [self] results in completion(self, results) }
    }

    private func awaitSession(isRetry: Bool, step: Int) {
        dropHeld()
        // A retry always runs in a task, so that it cannot recurse on the delivering thread.
        if !isRetry, let session = client.presentConnection?.session { return begin(session, step: step) }
        wait { contender in
            do {
                if isRetry {
                    let pause = contender.state.withLock { $0.backoff.pause() }
                    try await contender.client.clock.sleep(until: contender.client.clock.now + pause)
                }
                contender.begin(try await contender.client.connectedSession(), step: step)
            } catch let error as ZooKeeperError {
                contender.receive(.noSession(error), step: step)
            } catch {
                // The task was cancelled because the attempt has ended.
            }
        }
    }

    private func begin(_ session: SessionHandle, step: Int) {
        state.withLock { $0.session = session }
        let uuid = ContenderName.makeUUID(using: client.randomness)
        receive(.session(epoch: session.epoch, id: session.id, uuid: uuid), step: step)
    }

    private func join(base: String, discarding: [String], step: Int) {
        dropHeld()
        let create = SessionRequest.create(path: path(base), data: data, mode: .ephemeralSequential)
        post(deletes(discarding) + [create, .children(path: directory)]) { contender, results in
            let joined = results[discarding.count].flatMap { reply -> Result<Machine.Own, ZooKeeperError> in
                guard case .created(let path, let stat) = reply,
                    let name = ContenderName(path.asChild.name)
                else { return .failure(ZooKeeperError(.server, message: "the server gave the znode another name")) }
                return .success(Machine.Own(name: name, czxid: stat.czxid))
            }
            contender.receive(.joined(joined, results[discarding.count + 1].names), step: step)
        }
    }

    private func createParents(step: Int) {
        wait { contender in
            do {
                try await contender.client.createParents(of: contender.path("0"))
                contender.receive(.parentsCreated(.success(())), step: step)
            } catch let error as ZooKeeperError {
                contender.receive(.parentsCreated(.failure(error)), step: step)
            } catch {
                // The task was cancelled because the attempt has ended.
            }
        }
    }

    private func inspect(_ names: [String], step: Int) {
        post(names.map { .exists(path: path($0)) }) { contender, results in
            let stats = zip(names, results).map { name, result in
                (name: name, stat: result.stat)
            }
            contender.receive(.inspected(stats), step: step)
        }
    }

    /// Lists the queue, together with a request that confirms the session if one is needed before a grant.
    private func list(own: String, discarding: [String], step: Int) {
        dropHeld()
        let isProved = state.withLock { $0.session.map { $0.validUntil > client.clock.now + $0.timeout / 8 } } ?? false
        let proof: [SessionRequest] = isProved ? [] : [.multi([.check(path(own))])]
        post(deletes(discarding) + proof + [.children(path: directory)]) { contender, results in
            guard let listing = results.last else { return }
            contender.receive(.listed(listing.names), step: step)
        }
    }

    private func hold(_ own: Machine.Own, step: Int) {
        let (before, session) = state.withLock { ($0.held, $0.session) }
        // If the znode was lost while the session was being confirmed, it stays lost.
        if before?.lossReason != nil { dropHeld() }
        let held = state.withLock { state -> HeldNode? in
            // The watch is delayed, because a lock that is held only for a moment does not need one.
            state.held =
                state.held
                ?? session?.hold(path(own.name.string), czxid: own.czxid, watchingAfter: .milliseconds(20))
            return state.held
        }
        receive(.held(isValid: held?.isValid ?? false), step: step)
    }

    private func prove(_ own: Machine.Own, step: Int) {
        post([.multi([.check(path(own.name.string))])]) { contender, results in
            contender.receive(.proved(results[0].map { _ in }), step: step)
        }
    }

    private func perform(_ move: Machine.Move) {
        let operations: [TransactionOperation] = [
            .check(path(move.holder)), .delete(move.offer),
            .create(path(move.to), data: data, mode: .ephemeral), .delete(path(move.from)),
        ]
        post([.multi(operations)]) { contender, results in
            switch results[0] {
            case .success: contender.handle { $0.receiveOwnGone(move.from) }
            case .failure(let error) where error.isOutcomeUnknown || error.code == .connectionLoss:
                // The transaction is repeated; it cannot be executed twice.
                guard let holder = ContenderName(move.holder) else { return }
                contender.takePlace(of: holder, as: move.from, offer: move.offer)
            case .failure: contender.post([.delete(path: move.offer)]) { _, _ in }
            }
        }
    }

    private func pause(step: Int) {
        wait { contender in
            let timeout = contender.state.withLock { $0.session?.timeout } ?? .seconds(1)
            try? await contender.client.clock.sleep(until: contender.client.clock.now + timeout / 8)
            if !Task.isCancelled { contender.receive(.paused, step: step) }
        }
    }

    private func deletes(_ names: [String]) -> [SessionRequest] { names.map { .delete(path: path($0)) } }
}

// MARK: Watches

extension Contender {
    private func watch(_ name: String, own: String, step: Int) {
        let (onPlace, inFront) = state.withLock { ($0.onPlace, $0.machine.inFront) }
        onPlace?(own, inFront)
        client.recipeMetrics.queued(kind, behind: inFront)
        let predecessor = predecessorWatch(path(name), .data, step: step)
        replaceWatches([predecessor])
        post([.data(path: predecessor.path, watch: predecessor.sink)]) { contender, results in
            let stat = results[0].part { reply throws(ZooKeeperError) in try reply.data.stat }
            contender.receive(.watched(stat), step: step)
            contender.handle { $0.receiveMissedOffer() }
        }
        watchOwnInTime(own)
    }

    /// The time for which a participant that expects no writes waits before it watches its own znode.
    ///
    /// If the znode is deleted meanwhile, the next listing shows that. Short waits save two requests.
    private static let ownWatchDelay = Duration.seconds(1)

    /// Watches the participant's znode if it is not watched yet: at once if others may write to it, else after a while.
    private func watchOwnInTime(_ own: String) {
        let isWatched = state.withLock { state in
            state.own = own
            return state.ownWatch.map { $0.path == path(own) && !$0.hasFired } ?? false
        }
        if isWatched { return }
        if onWrite != nil { return watchOwn(own) }
        let session = state.withLock { state -> SessionHandle? in
            defer { state.watchesOwnLater = true }
            return state.watchesOwnLater ? nil : state.session
        }
        session?.call(after: Self.ownWatchDelay) { [weak self] in self?.watchOwnLate() }
    }

    private func watchOwnLate() {
        let own = state.withLock { state in
            state.watchesOwnLater = false
            return state.own
        }
        watchOwn(own)
    }

    /// Watches the participant's znode for its deletion and for writes.
    private func watchOwn(_ own: String) {
        let path = path(own)
        let watch = OneShotWatch(client, path: path)
        watch.event.observe { [weak self, weak watch] event in
            if event.kind == .deleted { self?.handle { $0.receiveOwnGone(own) } }
            if event.kind == .dataChanged, let watch { self?.watchOwnAgain(own, after: watch) }
        }
        let (hasEnded, earlier) = state.withLock { state in
            defer { if !state.hasEnded { state.ownWatch = watch } }
            return (state.hasEnded, state.ownWatch)
        }
        if hasEnded { return }
        earlier?.giveUp()
        post([.data(path: path, watch: watch.sink)]) { contender, results in
            switch results[0] {
            case .success(.data(let data, let stat)): contender.tellOfWrite(own, data, version: stat.dataVersion)
            case .failure(let error) where error.code == .noNode: contender.handle { $0.receiveOwnGone(own) }
            case .failure(let error) where [.sessionExpired, .clientStopped, .noAuth].contains(error.code): break
            // If the connection was lost, the predecessor's watch is already set, and the request waits for the next
            // connection.
            case .failure(let error) where error.isOutcomeUnknown: contender.watchOwnAgain(own, after: watch)
            case .failure:
                contender.session?.retryLater { [weak contender] in contender?.watchOwnAgain(own, after: watch) }
            default: break
            }
        }
    }

    /// Sets the watch again, because a write has fired it or because it could not be set.
    private func watchOwnAgain(_ own: String, after watch: OneShotWatch) {
        if state.withLock({ $0.ownWatch === watch }) { watchOwn(own) }
    }

    private func tellOfWrite(_ own: String, _ data: [UInt8], version: Int32) {
        let isNew = state.withLock { state in
            defer { state.seen = (own, version) }
            return version != (state.seen.name == own ? state.seen.version : 0)
        }
        if isNew { onWrite?(own, data) }
    }

    /// Watches the directory, because servers since 3.8.4 do not report a deletion to clients without read permission.
    ///
    /// This applies to all kinds of watches on the znode itself.
    private func watchDirectory(_ name: String, step: Int) {
        let watch = predecessorWatch(directory, .children, step: step)
        state.withLock { $0.watches.append(watch) }
        post([.children(path: directory, watch: watch.sink)]) { contender, results in
            let stat = results[0].part { reply throws(ZooKeeperError) in
                let (names, stat) = try reply.children
                guard names.containsBytes(of: name) else { throw ZooKeeperError(.noNode) }
                return stat
            }
            contender.receive(.watched(stat), step: step)
        }
    }

    private func predecessorWatch(_ path: String, _ kind: WatchedKind, step: Int) -> OneShotWatch {
        OneShotWatch(client, path: path, kind: kind) { [weak self] event in
            let event: Machine.PredecessorEvent =
                event.kind == .sessionEnded ? .sessionEnded : event.kind == .dataChanged ? .changed : .gone
            self?.receive(.predecessorEvent(event), step: step)
        }
    }

    private func replaceWatches(_ watches: [OneShotWatch]) {
        let old = state.withLock { state in
            defer { state.watches = watches }
            return state.watches
        }
        for watch in old { watch.giveUp() }
    }
}

// MARK: Completion

extension Contender {
    private func finish(_ outcome: Machine.Outcome, cleanUp: Machine.CleanUpKind?) {
        replaceWatches([])
        let (held, session, task, needsPrefix, ownWatch) = state.withLock { state in
            defer { (state.ownWatch, state.hasEnded) = (nil, true) }
            return (
                state.held, state.session, state.waiting, state.machine.needsPrefixCleanUp, state.ownWatch
            )
        }
        ownWatch?.giveUp()
        task?.cancel()
        if case .granted(let own) = outcome, let held {
            let job: CleanUp = needsPrefix ? .prefix(own.name.prefix, parent: directory) : .node(path: held.path)
            let grant = Grant(held: held, name: own.name, cleanUp: job, requested: requested)
            end.set(End(outcome: outcome, grant: grant))
            return
        }
        held?.release()
        let done = cleanUp.flatMap { cleanUp in session?.cleanUp(self.cleanUp(cleanUp)) }
        end.set(End(outcome: outcome, cleanUp: done))
    }

    private func cleanUp(_ kind: Machine.CleanUpKind) -> CleanUp {
        switch kind {
        case .node(let name): .node(path: path(name))
        case .prefix(let prefix): .prefix(prefix, parent: directory)
        }
    }

    /// Runs the one operation that must be awaited in a task.
    private func wait(_ operation: @escaping @Sendable (Contender) async -> Void) {
        let task = Task { await operation(self) }
        state.withLock { $0.waiting = task }
        if end.value != nil { task.cancel() }
    }

    /// Stops supervising the participant's znode, because nothing can be granted by it at the moment.
    private func dropHeld() {
        let held = state.withLock { state in
            defer { state.held = nil }
            return state.held
        }
        held?.release()
    }
}

extension SessionResult {
    /// Returns a part of the reply, or the error.
    func part<Part>(_ part: (SessionReply) throws(ZooKeeperError) -> Part) -> Swift.Result<Part, ZooKeeperError> {
        switch self {
        case .success(let reply):
            do throws(ZooKeeperError) { return .success(try part(reply)) } catch { return .failure(error) }
        case .failure(let error): return .failure(error)
        }
    }

    /// The names of a list of children.
    var names: Swift.Result<[String], ZooKeeperError> {
        part { reply throws(ZooKeeperError) in try reply.children.names }
    }

    /// The stat in the answer to `exists`.
    var stat: Swift.Result<ZNodeStat, ZooKeeperError> {
        part { reply throws(ZooKeeperError) in try reply.stat }
    }
}
