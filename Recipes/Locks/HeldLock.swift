internal import Synchronization
internal import ZooKeeper

/// The znodes that hold a lock, and the number of users in this process that share them.
///
/// A mutex and a read-write lock have one znode, a semaphore has one for each lease. If one znode is lost, all are
/// lost. They belong to one session, and are deleted when the last user has left.
final class HeldLock: Sendable {
    /// The identity of a lock within this process: the client and the path.
    struct Key: Hashable, Sendable {
        var client: ObjectIdentifier
        @ZNodeName var path: String

        init(_ client: ZooKeeperClient, _ path: String) {
            self.client = ObjectIdentifier(client)
            self.path = path
        }
    }

    private struct State {
        var holding: Holding
        var kind: ContenderName.Kind?
        /// The znodes to delete at the end; at least one.
        var cleanUp: [CleanUp]
        var users = 1
        /// The number of bodies that run under the lock.
        var bodies = 0
    }

    let key: Key
    let client: ZooKeeperClient
    /// The transaction that created the first znode.
    ///
    /// A downgrade keeps this token, because a writer may have joined the queue in between.
    private let creation: ZXID
    /// The name of the first znode in a queue; `nil` for the leases of a semaphore.
    let name: ContenderName?
    /// The data of the znodes.
    let data: [UInt8]
    let session: SessionHandle
    /// Fires if a znode is lost before the users have left.
    let loss = OneShot<LossReason>()
    let report: LeaseReport
    private let meter: GrantMeter
    /// The release requests that other processes have sent to the holder; the newest 64 are kept.
    let requests = Broadcast<ReleaseRequest>(keeping: 64)
    private let state: Mutex<State>

    /// Creates a held lock from the grant of a queue.
    convenience init(_ grant: Contender.Grant, key: Key, client: ZooKeeperClient, data: [UInt8]) {
        self.init(
            Holding([grant.held]), name: grant.name, cleanUp: [grant.cleanUp], key: key, client: client, data: data,
            requested: grant.requested)
    }

    /// Creates a held lock from znodes that are held.
    ///
    /// - Parameters:
    ///   - cleanUp: The znodes to delete at the end.
    ///   - requested: The time since when the participant has waited for the lock; `nil` if it has not waited.
    init(
        _ holding: Holding, name: ContenderName?, cleanUp: [CleanUp], key: Key, client: ZooKeeperClient,
        data: [UInt8], requested: MonotonicInstant? = nil
    ) {
        self.data = data
        self.key = key
        self.client = client
        self.name = name
        session = holding.session
        creation = holding.nodes[0].czxid
        report = LeaseReport(client: client, session: session)
        meter = client.recipeMetrics.granted(
            name.map { GrantKind($0.kind) } ?? .semaphore, holding, since: requested ?? client.clock.now,
            by: client.clock)
        state = Mutex(State(holding: holding, kind: name?.kind, cleanUp: cleanUp))
        attend(to: holding)
        markHandles()
    }

    var holding: Holding { state.withLock { $0.holding } }
    var kind: ContenderName.Kind? { state.withLock { $0.kind } }
    /// The fencing token; it is shared if others can hold the lock at the same time, as readers and semaphores do.
    var token: FencingToken {
        FencingToken(rawValue: creation.rawValue, kind: name == nil || kind == .read ? .shared : .exclusive)
    }
    var isValid: Bool { holding.isValid }
    var validUntil: MonotonicInstant { holding.validUntil }
    /// Whether the lock has a user, valid or not.
    var isInUse: Bool { state.withLock { $0.users > 0 } }

    /// Adds a user.
    ///
    /// - Returns: `false` if all users have left, or if the lock is no longer valid.
    func enter() -> Bool {
        state.withLock { state in
            guard state.users > 0, state.holding.isValid else { return false }
            state.users += 1
            return true
        }
    }

    /// Removes a user; if it is the last one, deletes the znodes and waits for the answer.
    ///
    /// The wait ends if the connection is lost, and after 2 s.
    @discardableResult
    func leave() async -> ReleaseOutcome {
        guard let answered = beginToLeave() else { return .stillShared }
        await client.waitWhileConnected(for: answered, atMost: .seconds(2))
        return report.outcome
    }

    /// Removes a user; if it is the last one, starts deleting the znodes.
    ///
    /// - Returns: A signal that fires on the first answer; `nil` if there are other users.
    @discardableResult
    func beginToLeave() -> OneShot<Void>? {
        let last = state.withLock { state -> State? in
            state.users -= 1
            return state.users == 0 ? state : nil
        }
        guard let last else { return nil }
        SharedReadLocks.remove(self)
        requests.finish()
        let answered = OneShot<Void>()
        meter.end(of: last.holding)
        last.holding.release(after: answered)
        loss.dropObservers()
        delete(last.cleanUp, answered)
        return answered
    }

    /// Records that a body starts under the lock; a client that stops waits for its end.
    func beginBody() {
        state.withLock { $0.bodies += 1 }
        markHandles()
    }

    func endBody() {
        state.withLock { $0.bodies -= 1 }
        markHandles()
    }

    private func markHandles() {
        state.withLock { state in
            for node in state.holding.nodes { node.isHandle = state.bodies == 0 }
        }
    }

    /// Prepares for the creation of a second znode with the same prefix.
    ///
    /// - Returns: The znodes that had to be deleted so far; `nil` if all users have left.
    func expectSecondNode(_ prefix: String) -> CleanUp? {
        state.withLock { state in
            defer { state.cleanUp = [.prefix(prefix, parent: key.path)] }
            return state.users > 0 ? state.cleanUp.first : nil
        }
    }

    /// Replaces the write znode by a read znode, and deletes the write znode.
    ///
    /// - Returns: `false` if the lock was downgraded before, or all users have left.
    func downgrade(to held: HeldNode, cleanUp: CleanUp) -> Bool {
        let old = state.withLock { state -> HeldNode? in
            guard state.kind == .write, state.users > 0 else { return nil }
            defer { (state.holding, state.kind, state.cleanUp) = (Holding([held]), .read, [cleanUp]) }
            return state.holding.nodes[0]
        }
        guard let old else { return false }
        attend(to: Holding([held]))
        meter.observe(Holding([held]))
        markHandles()
        old.release()
        old.session.cleanUp(.node(path: old.path))
        return true
    }

    private func attend(to holding: Holding) {
        for node in holding.nodes { attend(to: node) }
    }

    private func attend(to node: HeldNode) {
        node.onLoss { [weak self, weak node] reason in
            guard let self, self.holding.nodes.contains(where: { $0 === node }) else { return }
            // The state is updated first, so that code resumed by the loss reads the new state.
            report.lost(reason)
            loss.set(reason)
            requests.finish()
        }
        node.onWrite { [weak self, path = node.path] bytes in self?.hear(bytes, at: path) }
    }

    /// Deletes the znodes, retrying until they are gone or the session has ended, even if the caller is cancelled.
    ///
    /// - Parameter answered: Fires on the first answer.
    private func delete(_ cleanUp: [CleanUp], _ answered: OneShot<Void>) {
        let (report, session) = (report, session)
        let finish: @Sendable () -> Void = {
            report.finish(session.isGone ? .sessionEnded : .released)
            answered.set(())
        }
        guard !session.isGone else { return finish() }
        report.releasing()
        let paths = cleanUp.compactMap { if case .node(let path) = $0 { path } else { String?.none } }
        guard paths.count == cleanUp.count else { return session.cleanUp(cleanUp, finish) }
        let delete: SessionRequest = paths.count == 1 ? .delete(path: paths[0]) : .multi(paths.map { .delete($0) })
        session.post(delete) { result in
            if result.hasDeleted(paths.count) { return finish() }
            session.cleanUp(cleanUp, finish)
            answered.set(())
        }
    }
}

extension HeldLock {
    /// The reason why the lock is no longer valid.
    var lossReason: LossReason {
        loss.value ?? session.endReason ?? .deadlinePassed
    }

    /// The error for a lock that is no longer valid.
    var lostError: RecipeError { RecipeError(.lost, in: .lock, path: key.path, lossReason: lossReason) }

    /// The error for a lock that was released.
    var releasedError: RecipeError {
        RecipeError(
            .released, in: .lock, path: key.path, message: "the lease has been released; acquire the lock again")
    }
}

extension SessionResult {
    /// Whether the znodes are certainly gone.
    fileprivate func hasDeleted(_ count: Int) -> Bool {
        switch self {
        case .success: true
        case .failure(let error): error.code == .noNode && count == 1
        }
    }
}

extension SessionHandle {
    /// Deletes several znodes, retrying until they are gone, and calls a closure on completion.
    fileprivate func cleanUp(_ jobs: [CleanUp], _ finish: @escaping @Sendable () -> Void) {
        let rest = Countdown(jobs.count)
        for job in jobs { cleanUp(job).observe { if rest.isOver() { finish() } } }
    }
}

/// A counter of pending completions.
private final class Countdown: Sendable {
    private let rest: Atomic<Int>

    init(_ count: Int) {
        rest = Atomic(count)
    }

    /// Records a completion; returns whether it was the last one.
    func isOver() -> Bool {
        rest.subtract(1, ordering: .acquiringAndReleasing).newValue == 0
    }
}

/// The read locks that this process holds, for other readers of the process to share.
enum SharedReadLocks {
    private static let places = Mutex<[HeldLock.Key: [HeldLock]]>([:])

    /// Adds a read lock, unless its last user has left in the meantime.
    static func add(_ place: HeldLock) {
        places.withLock { $0[place.key, default: []].append(place) }
        // A user that leaves from here on finds the entry, and removes it.
        if !place.isInUse { remove(place) }
    }

    static func remove(_ place: HeldLock) {
        places.withLock { places in
            places[place.key]?.removeAll { $0 === place }
            if places[place.key]?.isEmpty == true { places[place.key] = nil }
        }
    }

    /// Returns a read lock that is valid at this moment, after entering it for the caller.
    static func enter(_ key: HeldLock.Key) -> HeldLock? {
        let candidates = places.withLock { $0[key] ?? [] }
        return candidates.first { $0.enter() }
    }
}
