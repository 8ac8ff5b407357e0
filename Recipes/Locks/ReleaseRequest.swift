internal import Synchronization
internal import ZooKeeper

/// Somebody asks the holder of a lock to give it up.
///
/// It is no more than that: the holder decides, and what it holds stays its own until then.
public struct ReleaseRequest: Sendable, Hashable {
    /// Who asks, as it says itself; empty when it does not, as Apache Curator's `Revoker` does.
    public var asker: String
    /// Why, for people; empty when it was not said.
    public var reason: String

    /// Makes a request, for tests.
    public init(asker: String = "", reason: String = "") {
        self.asker = asker
        self.reason = reason
    }

    /// What Apache Curator's `Revoker` writes over the holder's data.
    static let curatorMessage = Array("__REVOKE__".utf8)
}

extension Lease {
    /// The requests to give this lock up: those that have come already, then each one that comes.
    ///
    /// Ends when the lock is given up or lost.
    public var releaseRequests: AsyncStream<ReleaseRequest> { place.requests.follow() }
}

extension DistributedMutex {
    /// Asks somebody who holds the lock to give it up: the holder is told by ``Lease/releaseRequests``.
    ///
    /// Who waits for the lock is told when it gets it. What the znode says is not touched. The request is withdrawn when
    /// the znode goes or this client's session ends. Holders by other programs do not understand it.
    ///
    /// - Parameters:
    ///   - entry: Of this lock's ``queue()``.
    ///   - reason: Why, for people.
    /// - Returns: Whether the entry was still there.
    /// - Throws: `ZooKeeperError`: `.noAuth`, `.clientStopped`; `CancellationError`, and it may have been asked.
    /// - Complexity: Two requests, one after the other, and three in the background; four for the holder.
    @discardableResult
    public func requestRelease(from entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await ReleaseRequest(asker: ownerName, reason: reason).send(to: entry, client: client)
    }
}

extension ReadWriteLock {
    /// Asks somebody who holds the lock to give it up; see ``DistributedMutex/requestRelease(from:reason:)``.
    @discardableResult
    public func requestRelease(from entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await ReleaseRequest(asker: holderName, reason: reason).send(to: entry, client: client)
    }
}

extension DistributedSemaphore {
    /// Asks somebody who holds a lease to give it up; see ``DistributedMutex/requestRelease(from:reason:)``.
    @discardableResult
    public func requestRelease(from entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await ReleaseRequest(asker: ownerName, reason: reason).send(to: entry, client: client)
    }
}

extension ReleaseRequest {
    func send(to entry: LockQueueEntry, client: ZooKeeperClient) async throws -> Bool {
        let (queue, name) = entry.path.asChild
        let request = ContenderRequest(.release, asker: asker, reason: reason)
        while true {
            let session = try await client.liveSession()
            do {
                guard let path = try await request.send(to: name, inQueue: queue, client: client, session: session)
                else { return false }
                Self.withdraw(path, whenGone: entry.path, session: session)
                return true
            } catch let error as ZooKeeperError where error.code == .sessionExpired {
                continue
            }
        }
    }

    /// A request to nobody, or to one that does not understand it, must not stand for ever.
    private static func withdraw(_ path: String, whenGone holder: String, session: LiveSession) {
        let sink = WatchSink { event in
            if event.isSessionEnded { return }
            withdraw(path, whenGone: holder, session: session)
        }
        session.post(.data(path: holder, watch: sink)) { result in
            guard case .failure(let error) = result, !session.isGone else { return }
            switch error.code {
            case .noNode, .noAuth: ContenderRequest.withdraw(path, session: session)
            case _ where error.isOutcomeUnknown: withdraw(path, whenGone: holder, session: session)
            default: session.retryLater { withdraw(path, whenGone: holder, session: session) }
            }
        }
    }
}

extension String {
    /// A znode's directory and its name in it.
    var asChild: (directory: String, name: String) {
        guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("/", self) }
        let directory = String(self[..<slash])
        return (directory.isEmpty ? "/" : directory, String(self[utf8.index(after: slash)...]))
    }
}

/// The requests that have come to one place, and everybody who follows them.
///
/// Those of before anybody followed are kept; of very many the newest.
final class ReceivedRequests: Sendable {
    private struct State: Combining {
        var received: [ReleaseRequest] = []
        var isOver = false
        var nextFollower = 0
        var followers: [Int: AsyncStream<ReleaseRequest>.Continuation] = [:]
        var deliveries = Deliveries<ReleaseRequest>()
        var isPerforming = false
    }

    private static let kept = 64
    private let state = Mutex(State())

    deinit { finish() }

    func follow() -> AsyncStream<ReleaseRequest> {
        let (stream, continuation) = AsyncStream.makeStream(of: ReleaseRequest.self)
        let follower = state.withLock { state -> Int? in
            for request in state.received { continuation.yield(request) }
            guard !state.isOver else { return nil }
            state.nextFollower += 1
            state.followers[state.nextFollower] = continuation
            return state.nextFollower
        }
        guard let follower else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.followers.removeValue(forKey: follower) }
        }
        return stream
    }

    func add(_ requests: [ReleaseRequest]) {
        state.withLock { state in
            guard !state.isOver else { return }
            state.received = (state.received + requests).suffix(Self.kept)
            for request in requests { state.deliveries.add(request, for: state.followers.orderedValues) }
        }
        deliver()
    }

    func finish() {
        state.withLock { state in
            state.isOver = true
            state.deliveries.add(nil, for: state.followers.orderedValues)
            state.followers = [:]
        }
        deliver()
    }

    private func deliver() {
        state.combine {
            $0.deliveries.next()
        } perform: {
            $0.perform()
        }
    }
}

extension LockPlace {
    /// Somebody has written one of the own znodes: to ask for something, or as Curator revokes.
    func hear(_ bytes: [UInt8], at path: String) {
        guard bytes != ReleaseRequest.curatorMessage else {
            requests.add([ReleaseRequest()])
            // What was there belongs to the holder, and tells others who it is.
            return session.post(.setData(path: path, data: data))
        }
        let (queue, name) = path.asChild
        Task { [requests, session] in
            let asked = try? await ContenderRequest.take(for: name, inQueue: queue, session: session)
            let releases = asked?.filter { $0.kind == .release } ?? []
            requests.add(releases.map { ReleaseRequest(asker: $0.asker, reason: $0.reason) })
        }
    }
}
