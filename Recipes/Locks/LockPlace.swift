internal import Synchronization
internal import ZooKeeper

/// Own znodes by which a lock is held, and everybody in this process who holds the lock by them.
///
/// A mutex and a read-write lock have one znode, a semaphore one for each of its leases; the loss of one is the loss of
/// all. They belong to one session, and are deleted when the last user has left.
final class LockPlace: Sendable {
    /// Where locks are the same to this process: one client's, at one path.
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
        /// What has to be deleted at the end; at least one.
        var cleanUp: [CleanUp]
        var users = 1
        /// How many bodies run under it.
        var bodies = 0
    }

    let key: Key
    let client: ZooKeeperClient
    /// The creation of the first znode: a downgrade keeps the number, because a writer may have queued in between.
    private let creation: ZXID
    /// The first znode's name in a queue; `nil` for a semaphore's leases.
    let name: ContenderName?
    /// What the own znodes hold.
    let data: [UInt8]
    let session: LiveSession
    /// A znode was lost before the users had left.
    let loss = OneShot<LossReason>()
    let report: LeaseReport
    /// What others have asked of the holder.
    let requests = ReceivedRequests()
    private let state: Mutex<State>

    /// Takes a grant of a queue over.
    convenience init(_ grant: Contender.Grant, key: Key, client: ZooKeeperClient, data: [UInt8]) {
        self.init(
            Holding([grant.held]), name: grant.name, cleanUp: [grant.cleanUp], key: key, client: client, data: data)
    }

    /// - Parameters:
    ///   - cleanUp: What has to be deleted at the end.
    init(
        _ holding: Holding, name: ContenderName?, cleanUp: [CleanUp], key: Key, client: ZooKeeperClient,
        data: [UInt8]
    ) {
        self.data = data
        self.key = key
        self.client = client
        self.name = name
        session = holding.session
        creation = holding.nodes[0].czxid
        report = LeaseReport(client: client, session: session)
        state = Mutex(State(holding: holding, kind: name?.kind, cleanUp: cleanUp))
        attend(to: holding)
        markHandles()
    }

    var holding: Holding { state.withLock { $0.holding } }
    var kind: ContenderName.Kind? { state.withLock { $0.kind } }
    /// Others may hold a read lock, and leases of a semaphore, at the same time.
    var token: FencingToken {
        FencingToken(rawValue: creation.rawValue, kind: name == nil || kind == .read ? .shared : .exclusive)
    }
    var isValid: Bool { holding.isValid }
    var validUntil: MonotonicInstant { holding.validUntil }
    /// Whether somebody still holds by it, rightly or not.
    var isInUse: Bool { state.withLock { $0.users > 0 } }

    /// One more holds by these znodes.
    ///
    /// - Returns: `false` when everybody has left already, or when the lock is not valid any more.
    func enter() -> Bool {
        state.withLock { state in
            guard state.users > 0, state.holding.isValid else { return false }
            state.users += 1
            return true
        }
    }

    /// One holds no more; the last one's leaving deletes the znodes and waits for that while there is a connection.
    @discardableResult
    func leave() async -> ReleaseOutcome {
        guard let answered = beginToLeave() else { return .stillShared }
        await client.waitWhileConnected(for: answered, atMost: .seconds(2))
        return report.outcome
    }

    /// One holds no more; the last one's leaving has the znodes deleted.
    ///
    /// - Returns: Something that happens with the first answer; `nil` when others still hold.
    @discardableResult
    func beginToLeave() -> OneShot<Void>? {
        let last = state.withLock { state -> State? in
            state.users -= 1
            return state.users == 0 ? state : nil
        }
        guard let last else { return nil }
        SharedPlaces.remove(self)
        requests.finish()
        let answered = OneShot<Void>()
        last.holding.release(after: answered)
        loss.dropObservers()
        delete(last.cleanUp, answered)
        return answered
    }

    /// A body runs under it from now on: a client that stops waits for its end.
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

    /// A second znode with the own prefix may be created from now on.
    ///
    /// - Returns: What had to be deleted so far; `nil` when everybody has left.
    func expectSecondNode(_ prefix: String) -> CleanUp? {
        state.withLock { state in
            defer { state.cleanUp = [.prefix(prefix, parent: key.path)] }
            return state.users > 0 ? state.cleanUp.first : nil
        }
    }

    /// Holds by a read znode from now on, and gives the write znode up.
    ///
    /// - Returns: `false` when that has happened already, or everybody has left.
    func downgrade(to held: HeldNode, cleanUp: CleanUp) -> Bool {
        let old = state.withLock { state -> HeldNode? in
            guard state.kind == .write, state.users > 0 else { return nil }
            defer { (state.holding, state.kind, state.cleanUp) = (Holding([held]), .read, [cleanUp]) }
            return state.holding.nodes[0]
        }
        guard let old else { return false }
        attend(to: Holding([held]))
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
            // Whoever is woken by the loss finds it in the state as well.
            report.lost(reason)
            loss.set(reason)
            requests.finish()
        }
        node.onWrite { [weak self, path = node.path] bytes in self?.hear(bytes, at: path) }
    }

    /// Deletes the znodes at once; when that does not succeed, again and again, whatever becomes of the caller.
    ///
    /// - Parameter answered: Happens with the first answer.
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

extension LockPlace {
    /// Why it is not valid any more.
    var lossReason: LossReason {
        loss.value ?? session.endReason ?? .deadlinePassed
    }

    /// The error of a lock that is not valid any more.
    var lostError: RecipeError { RecipeError(.lost, in: .lock, path: key.path, reason: lossReason) }

    /// The error of a lock that was released in order.
    var releasedError: RecipeError {
        RecipeError(
            .released, in: .lock, path: key.path, message: "the lease has been released; acquire the lock again")
    }
}

extension SessionResult {
    /// Whether the znodes that were to be deleted are surely gone.
    fileprivate func hasDeleted(_ count: Int) -> Bool {
        switch self {
        case .success: true
        case .failure(let error): error.code == .noNode && count == 1
        }
    }
}

extension LiveSession {
    /// Has several things deleted, for certain, and calls a closure when all of it is done.
    fileprivate func cleanUp(_ jobs: [CleanUp], _ finish: @escaping @Sendable () -> Void) {
        let rest = Countdown(jobs.count)
        for job in jobs { cleanUp(job).observe { if rest.isOver() { finish() } } }
    }
}

/// Counts what is still to come.
private final class Countdown: Sendable {
    private let rest: Atomic<Int>

    init(_ count: Int) {
        rest = Atomic(count)
    }

    /// One has come; says whether it was the last.
    func isOver() -> Bool {
        rest.subtract(1, ordering: .acquiringAndReleasing).newValue == 0
    }
}

/// The read locks that this process holds, for others of the process to share.
enum SharedPlaces {
    private static let places = Mutex<[LockPlace.Key: [LockPlace]]>([:])

    static func add(_ place: LockPlace) {
        places.withLock { $0[place.key, default: []].append(place) }
    }

    static func remove(_ place: LockPlace) {
        places.withLock { places in
            places[place.key]?.removeAll { $0 === place }
            if places[place.key]?.isEmpty == true { places[place.key] = nil }
        }
    }

    /// A read lock that is held at this moment; the caller has entered it.
    static func enter(_ key: LockPlace.Key) -> LockPlace? {
        let candidates = places.withLock { $0[key] ?? [] }
        return candidates.first { $0.enter() }
    }
}
