internal import Synchronization
internal import ZooKeeper

/// One own znode in front of a lock's queue, and everybody in this process who holds the lock by it.
///
/// It belongs to one session. The znode is deleted when the last user has left.
final class LockPlace: Sendable {
    /// Where locks are the same to this process: one client's, at one path.
    struct Key: Hashable, Sendable {
        var client: ObjectIdentifier
        var path: String
    }

    private struct State {
        var held: HeldNode
        var kind: ContenderName.Kind
        var cleanUp: CleanUp
        var users = 1
    }

    let key: Key
    let client: ZooKeeperClient
    /// The creation of the first znode: a downgrade keeps it, because a writer may have queued in between.
    let token: FencingToken
    let name: ContenderName
    /// What the own znodes hold.
    let data: [UInt8]
    /// The znode was lost before its users had left.
    let loss = OneShot<LossReason>()
    /// What became of the znode, for all who hold by it.
    let states = Broadcast<LeaseState>(.held)
    private let state: Mutex<State>

    /// Takes a grant over.
    init(_ grant: Contender.Grant, key: Key, client: ZooKeeperClient, data: [UInt8]) {
        self.data = data
        self.key = key
        self.client = client
        name = grant.name
        token = FencingToken(rawValue: grant.held.czxid.rawValue)
        state = Mutex(State(held: grant.held, kind: grant.name.kind, cleanUp: grant.cleanUp))
        watchForLoss(of: grant.held)
    }

    var held: HeldNode { state.withLock { $0.held } }
    var kind: ContenderName.Kind { state.withLock { $0.kind } }
    var isValid: Bool { held.isValid }
    var validUntil: MonotonicInstant { held.validUntil }
    var session: LiveSession { held.session }
    /// Whether somebody still holds by it, rightly or not.
    var isInUse: Bool { state.withLock { $0.users > 0 } }

    /// One more holds by this znode.
    ///
    /// - Returns: `false` when everybody has left already, or when the lock is not valid any more.
    func enter() -> Bool {
        state.withLock { state in
            guard state.users > 0, state.held.isValid else { return false }
            state.users += 1
            return true
        }
    }

    /// One holds no more; the last one's leaving deletes the znode and waits for that while there is a connection.
    func leave() async {
        let last = state.withLock { state -> State? in
            state.users -= 1
            return state.users == 0 ? state : nil
        }
        guard let last else { return }
        SharedPlaces.remove(self)
        last.held.release()
        await delete(last.cleanUp, session: last.held.session)
    }

    /// A second znode with the own prefix may be created from now on.
    ///
    /// - Returns: What had to be deleted so far; `nil` when everybody has left.
    func expectSecondNode() -> CleanUp? {
        state.withLock { state in
            defer { state.cleanUp = .prefix(name.prefix, parent: key.path) }
            return state.users > 0 ? state.cleanUp : nil
        }
    }

    /// Holds by a read znode from now on, and gives the write znode up.
    ///
    /// - Returns: `false` when that has happened already, or everybody has left.
    func downgrade(to held: HeldNode, cleanUp: CleanUp) -> Bool {
        let old = state.withLock { state -> HeldNode? in
            guard state.kind == .write, state.users > 0 else { return nil }
            defer { (state.held, state.kind, state.cleanUp) = (held, .read, cleanUp) }
            return state.held
        }
        guard let old else { return false }
        watchForLoss(of: held)
        old.release()
        old.session.cleanUp(.node(path: old.path))
        return true
    }

    private func watchForLoss(of held: HeldNode) {
        held.onLoss { [weak self] reason in
            guard let self, self.held === held else { return }
            loss.set(reason)
            states.send(.lost(reason))
        }
    }

    /// Deletes the znode at once; when that does not succeed, again and again, whatever becomes of the caller.
    ///
    /// Returns with the first answer; without a connection at once, and with a silent one after two seconds.
    private func delete(_ cleanUp: CleanUp, session: LiveSession) async {
        let states = states
        let answered = OneShot<Void>()
        let finish: @Sendable () -> Void = {
            states.finish(session.hasEnded ? .sessionEnded : .released)
            answered.set(())
        }
        guard !session.hasEnded else { return finish() }
        states.send(.releasing)
        if case .node(let path) = cleanUp {
            session.post(.delete(path: path)) { result in
                if result.hasDeleted { return finish() }
                session.cleanUp(cleanUp).observe(finish)
                answered.set(())
            }
        } else {
            session.cleanUp(cleanUp).observe(finish)
        }
        await client.waitWhileConnected(for: answered, atMost: .seconds(2))
    }
}

extension SessionResult {
    /// Whether the znode that was to be deleted is surely gone.
    fileprivate var hasDeleted: Bool {
        switch self {
        case .success: true
        case .failure(let error): error.code == .noNode
        }
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
