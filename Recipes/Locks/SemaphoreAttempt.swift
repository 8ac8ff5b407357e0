internal import Synchronization
internal import ZooKeeper

/// The way from the semaphore's mutex, which one has at a time, to the leases: in the mutex' session or not at all.
///
/// The leases are created by the transaction that gives the mutex up and checks the limit: whoever counted leases while it
/// had the mutex still has it then, nobody has created any meanwhile, and the limit is the one that was read.
final class SemaphoreAttempt: Sendable {
    private struct State {
        /// Whether leases may stand.
        var hasAsked = false
        var isGranted = false
        /// The looks at the leases.
        ///
        /// They are answered on the connection on which the mutex was granted, or after a barrier on a later one: a server that
        /// is behind does not know all leases of those who had the mutex before.
        var looks: RequestBatch
        var needsBarrier = false
    }

    private let semaphore: DistributedSemaphore
    private let count: Int
    private let mutex: Contender.Grant
    private let waits: Bool
    private let prefix: String
    private let data: [UInt8]
    private let changes = WakeUp()
    private let leases: RenewedWatch
    private let limit: RenewedWatch
    private let state: Mutex<State>

    private var session: LiveSession { mutex.held.session }
    private var client: ZooKeeperClient { semaphore.client }

    init(_ semaphore: DistributedSemaphore, count: Int, mutex: Contender.Grant, waits: Bool) {
        self.semaphore = semaphore
        self.count = count
        self.mutex = mutex
        self.waits = waits
        state = Mutex(State(looks: RequestBatch(on: mutex.held.connection)))
        prefix = ContenderName.prefix(uuid: ContenderName.makeUUID(using: semaphore.client.randomness))
        data = semaphore.lockData.bytes
        leases = RenewedWatch(semaphore.client, semaphore.leasesPath, .children, changes)
        limit = RenewedWatch(semaphore.client, semaphore.limitPath, .data, changes)
    }

    /// - Returns: `nil` when the mutex or its session was lost, so that everything begins again.
    /// - Throws: ``RecipeError``, `ZooKeeperError`, `CancellationError`; then ``giveUp(atMost:)`` must follow.
    func run() async throws -> LockPlace? {
        mutex.held.onLoss { [changes] _ in changes.signal() }
        var backoff = client.makeBackoff(.quick)
        while !session.hasEnded, mutex.held.lossReason != .znodeDeleted {
            try Task.checkCancellation()
            do {
                guard let version = try await awaitRoom() else { continue }
                guard let paths = try await take(limitVersion: version) else { return nil }
                return try await hold(paths)
            } catch let error as ZooKeeperError where error.code == .noNode || error.code == .badVersion {
                try await createMissing()
            } catch let error as ZooKeeperError where error.isTransientInSession {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            } catch let error as ZooKeeperError where error.code == .sessionExpired {
                return nil
            }
        }
        return nil
    }

    /// Counts the leases; when too few are free, waits for the next change.
    ///
    /// - Returns: The version of the limit by which there is room, or `nil` after a wait.
    private func awaitRoom() async throws -> Int32? {
        let (looks, needsBarrier) = state.withLock { ($0.looks, $0.needsBarrier) }
        let barrier: [SessionRequest] = needsBarrier ? [.barrier(at: mutex.held.path)] : []
        let answers = try await session.flight(
            barrier + [
                .children(path: leases.path, watch: leases.renewed), .data(path: limit.path, watch: limit.renewed),
            ], batch: looks)
        let results = Array(answers.suffix(2))
        leases.answered(results[0])
        limit.answered(results[1])
        let listing = needsBarrier ? answers[0].asBarrier(before: results[0]) : results[0]
        let isLost = [listing, results[1]].contains(where: \.isConnectionLoss)
        state.withLock { state in
            if isLost {
                (state.looks, state.needsBarrier) = (RequestBatch(), true)
            } else if case .success = listing {
                state.needsBarrier = false
            }
        }
        let names = try listing.get().children.names
        let (bytes, stat) = try results[1].get().data
        let room = SemaphoreRoom(limit: try semaphore.readLimit(bytes), names: names)
        if room.fits(count) { return stat.dataVersion }
        guard waits else { throw RecipeError(.notAvailable, in: .lock, path: semaphore.path) }
        await changes.wait(until: nil, clock: client.clock)
        return nil
    }

    /// Gives the mutex up and takes the leases, at one instant.
    ///
    /// - Returns: The leases' paths; `nil` when the mutex is gone and there are no leases.
    private func take(limitVersion: Int32) async throws -> [String]? {
        let base = "\(semaphore.leasesPath)/\(prefix)\(SemaphoreRoom.word)"
        let creates = (0..<count).map { _ in
            TransactionOperation.create(base, data: data, mode: .ephemeralSequential)
        }
        let operations = [.delete(mutex.held.path), .check(limit.path, version: limitVersion)] + creates
        state.withLock { $0.hasAsked = true }
        do {
            // The mutex is let go with the answer: nothing asks for its znode any more.
            let reply = try await session.send(.multi(operations)) { [mutex] result in
                if case .success = result { mutex.held.release() }
            }
            guard case .multi(let results) = reply else { return nil }
            return results.compactMap(\.path)
        } catch let error as ZooKeeperError where error.code == .noNode && error.failedOperation == 0 {
            return nil
        } catch let error as ZooKeeperError where error.isOutcomeUnknown {
            return try await find()
        }
    }

    /// The transaction's answer was lost: it has happened if the leases stand, and has not if the mutex does.
    private func find() async throws -> [String]? {
        var backoff = client.makeBackoff(.quick)
        while true {
            let results = try await session.flight(
                behindBarrierAt: "/", [.children(path: leases.path), .exists(path: mutex.held.path)])
            switch (results[0], results[1]) {
            case (.success(let reply), _) where try own(in: reply).count == count: return try own(in: reply)
            // Not all of them stand: somebody has deleted one, and the rest goes with it.
            case (.success(let reply), _) where try !own(in: reply).isEmpty: return nil
            case (.success, .success): throw ZooKeeperError(.badVersion)
            case (.success, .failure(let error)) where error.code == .noNode: return nil
            case (.failure(let error), _) where error.isTransientInSession: break
            case (_, .failure(let error)) where error.isTransientInSession: break
            case (.failure(let error), _), (_, .failure(let error)): throw error
            }
            try await client.clock.sleep(until: client.clock.now + backoff.pause())
        }
    }

    private func own(in reply: SessionReply) throws -> [String] {
        try reply.children.names.filter { $0.hasBytePrefix(prefix) }.sortedByBytes().map {
            ZNodePath.child($0, of: leases.path)
        }
    }

    /// Holds by the leases once the session is proved.
    private func hold(_ paths: [String]) async throws -> LockPlace? {
        while !session.hasEnded {
            var batch = RequestBatch()
            let results = try await session.flight(paths.map { .exists(path: $0) }, batch: batch)
            do {
                let czxids = try results.map { try $0.get().stat.czxid }
                if session.validUntil <= client.clock.now + session.timeout / 8 {
                    batch = RequestBatch()
                    _ = try await session.flight([.multi(paths.map { .check($0) })], batch: batch)[0].get()
                }
                let held = zip(paths, czxids).map { [batch] in
                    session.hold($0, czxid: $1, seenBy: batch, watchingAfter: .milliseconds(20))
                }
                if held.allSatisfy(\.isValid) { return place(held) }
                for node in held { node.release() }
                try await client.clock.sleep(until: client.clock.now + session.timeout / 8)
            } catch let error as ZooKeeperError where error.isTransientInSession {
                try await client.clock.sleep(until: client.clock.now + .milliseconds(100))
            } catch let error as ZooKeeperError where error.code == .noNode {
                return nil
            }
        }
        return nil
    }

    private func place(_ held: [HeldNode]) -> LockPlace {
        state.withLock { $0.isGranted = true }
        mutex.held.release()
        forgetWatches()
        // There may be a second znode of the mutex, when the first one's creation was uncertain.
        if case .prefix = mutex.cleanUp { session.cleanUp(mutex.cleanUp) }
        return LockPlace(
            Holding(held), name: nil, cleanUp: held.map { .node(path: $0.path) },
            key: LockPlace.Key(client, semaphore.path), client: client, data: data)
    }

    private func createMissing() async throws {
        try await client.recipeSteps { try await client.createParents(of: leases.path + "/0") }
        try await semaphore.createLimit()
    }

    private func forgetWatches() {
        leases.giveUp()
        limit.giveUp()
    }

    /// Takes back whatever was begun: mutex and leases, seen or not.
    func giveUp(atMost patience: Duration) async {
        let (hasAsked, isGranted) = state.withLock { ($0.hasAsked, $0.isGranted) }
        guard !isGranted else { return }
        forgetWatches()
        mutex.held.release()
        let mutexDone = session.cleanUp(mutex.cleanUp)
        let leasesDone = hasAsked ? session.cleanUp(.prefix(prefix, parent: leases.path)) : nil
        await client.waitWhileConnected(forWork: mutexDone, atMost: patience)
        if let leasesDone { await client.waitWhileConnected(forWork: leasesDone, atMost: patience) }
    }
}

/// A watch that is set again with a read when it has been used up, and not before.
private final class RenewedWatch: Sendable {
    let path: String
    private let client: ZooKeeperClient
    private let kind: WatchedKind
    private let changes: WakeUp
    private let watch = Mutex<(set: OneShotWatch?, isNew: Bool)>((nil, false))

    init(_ client: ZooKeeperClient, _ path: String, _ kind: WatchedKind, _ changes: WakeUp) {
        (self.client, self.path, self.kind, self.changes) = (client, path, kind, changes)
    }

    /// What the next read is to set; `nil` when the watch stands.
    var renewed: WatchSink? {
        watch.withLock { state in
            state.isNew = state.set == nil
            guard state.isNew else { return nil }
            let watch = OneShotWatch(client, path: path, kind: kind) { [weak self] _ in
                self?.watch.withLock { $0.set = nil }
                self?.changes.signal()
            }
            state.set = watch
            return watch.sink
        }
    }

    /// A read that failed has set nothing.
    func answered(_ result: SessionResult) {
        guard case .failure = result else { return }
        watch.withLock { if $0.isNew { $0.set = nil } }
    }

    func giveUp() {
        let old = watch.withLock { state in
            defer { state.set = nil }
            return state.set
        }
        old?.giveUp()
    }
}

extension SessionResult {
    fileprivate var isConnectionLoss: Bool {
        if case .failure(let error) = self { error.code == .connectionLoss } else { false }
    }
}
