internal import Synchronization
internal import ZooKeeper

/// One attempt to acquire leases while holding the semaphore's mutex, in the session of the mutex.
///
/// One transaction releases the mutex, checks the version of the limit, and creates the leases. A participant that
/// counted the leases while it held the mutex therefore still holds it in the transaction. No other participant has
/// created leases in between, and the limit is the one that was read.
final class SemaphoreAttempt: Sendable {
    private struct State {
        /// Whether leases may have been created.
        var hasAsked = false
        var isGranted = false
        /// Called once, when this participant is the first one in the queue and too few leases are free.
        var onFirst: OnQueued?
        /// The batch of the reads that count the leases.
        ///
        /// They are answered on the connection on which the mutex was acquired, or on a later one after a barrier. A
        /// server that lags may not know all leases of earlier holders of the mutex.
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

    private var session: SessionHandle { mutex.held.session }
    private var client: ZooKeeperClient { semaphore.client }

    init(
        _ semaphore: DistributedSemaphore, count: Int, mutex: Contender.Grant, waits: Bool, onQueued: OnQueued?
    ) {
        self.semaphore = semaphore
        self.count = count
        self.mutex = mutex
        self.waits = waits
        state = Mutex(State(onFirst: onQueued, looks: RequestBatch(on: mutex.held.connection)))
        prefix = ContenderName.prefix(uuid: ContenderName.makeUUID(using: semaphore.client.randomness))
        data = semaphore.lockData.bytes
        leases = RenewedWatch(semaphore.client, semaphore.leasesPath, .children, changes)
        limit = RenewedWatch(semaphore.client, semaphore.limitPath, .data, changes)
    }

    /// Runs the attempt.
    ///
    /// - Returns: `nil` if the mutex or its session was lost, so that the acquisition must start again.
    /// - Throws: ``RecipeError``, `ZooKeeperError`, `CancellationError`. The caller must then call ``giveUp(atMost:)``.
    func run() async throws -> HeldLock? {
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

    /// Counts the leases, and waits for the next change if too few are free.
    ///
    /// - Returns: The version of the limit that leaves enough leases free, or `nil` after a wait.
    private func awaitRoom() async throws -> Int32? {
        let (looks, needsBarrier) = state.withLock { ($0.looks, $0.needsBarrier) }
        let barrier: [SessionRequest] = needsBarrier ? [.barrier(at: mutex.held.path)] : []
        let answers = try await session.sendAll(
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
        let onFirst = state.withLock { state in
            defer { state.onFirst = nil }
            return state.onFirst
        }
        onFirst?(0)
        await changes.wait(until: nil, clock: client.clock)
        return nil
    }

    /// Releases the mutex and creates the leases in one transaction.
    ///
    /// - Returns: The paths of the leases; `nil` if the mutex is gone and no leases were created.
    private func take(limitVersion: Int32) async throws -> [String]? {
        let base = "\(semaphore.leasesPath)/\(prefix)\(SemaphoreRoom.word)"
        let creates = (0..<count).map { _ in
            TransactionOperation.create(base, data: data, mode: .ephemeralSequential)
        }
        let operations = [.delete(mutex.held.path), .check(limit.path, version: limitVersion)] + creates
        state.withLock { $0.hasAsked = true }
        do {
            // The mutex is released with the answer: its znode is not needed any more.
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

    /// Determines the outcome of the transaction after its answer was lost.
    ///
    /// If the leases exist, the transaction was executed. If the mutex exists, it was not.
    private func find() async throws -> [String]? {
        var backoff = client.makeBackoff(.quick)
        while true {
            let results = try await session.sendAll(
                behindBarrierAt: "/", [.children(path: leases.path), .exists(path: mutex.held.path)])
            switch (results[0], results[1]) {
            case (.success(let reply), _) where try own(in: reply).count == count: return try own(in: reply)
            // Only some of the leases exist: another process has deleted one, so the rest is deleted as well.
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

    /// Holds the leases once the session is confirmed.
    private func hold(_ paths: [String]) async throws -> HeldLock? {
        while !session.hasEnded {
            var batch = RequestBatch()
            let results = try await session.sendAll(paths.map { .exists(path: $0) }, batch: batch)
            do {
                let czxids = try results.map { try $0.get().stat.czxid }
                if session.validUntil <= client.clock.now + session.timeout / 8 {
                    batch = RequestBatch()
                    _ = try await session.sendAll([.multi(paths.map { .check($0) })], batch: batch)[0].get()
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

    private func place(_ held: [HeldNode]) -> HeldLock {
        state.withLock { $0.isGranted = true }
        mutex.held.release()
        forgetWatches()
        // If the outcome of the first creation was unknown, the mutex may have a second znode.
        if case .prefix = mutex.cleanUp { session.cleanUp(mutex.cleanUp) }
        return HeldLock(
            Holding(held), name: nil, cleanUp: held.map { .node(path: $0.path) },
            key: HeldLock.Key(client, semaphore.path), client: client, data: data, requested: mutex.requested)
    }

    private func createMissing() async throws {
        try await client.recipeSteps { try await client.createParents(of: leases.path + "/0") }
        try await semaphore.createInitialLimit()
    }

    private func forgetWatches() {
        leases.giveUp()
        limit.giveUp()
    }

    /// Deletes everything that the attempt may have created: the mutex and the leases, observed or not.
    func giveUp(atMost timeout: Duration) async {
        let (hasAsked, isGranted) = state.withLock { ($0.hasAsked, $0.isGranted) }
        guard !isGranted else { return }
        forgetWatches()
        mutex.held.release()
        let mutexDone = session.cleanUp(mutex.cleanUp)
        let leasesDone = hasAsked ? session.cleanUp(.prefix(prefix, parent: leases.path)) : nil
        await client.waitWhileConnected(forWork: mutexDone, atMost: timeout)
        if let leasesDone { await client.waitWhileConnected(forWork: leasesDone, atMost: timeout) }
    }
}

/// A watch that a read sets again only after it has fired.
private final class RenewedWatch: Sendable {
    let path: String
    private let client: ZooKeeperClient
    private let kind: WatchedKind
    private let changes: WakeUp
    private let watch = Mutex<(set: OneShotWatch?, isNew: Bool)>((nil, false))

    init(_ client: ZooKeeperClient, _ path: String, _ kind: WatchedKind, _ changes: WakeUp) {
        (self.client, self.path, self.kind, self.changes) = (client, path, kind, changes)
    }

    /// The watch that the next read must set; `nil` if it is already set.
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

    /// Handles the result of a read; a read that failed has set no watch.
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
