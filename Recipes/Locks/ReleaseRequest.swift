internal import ZooKeeper

/// A request to the holder of a lock to release it.
///
/// The request alone releases nothing. The holder decides, and keeps the lock until it releases it.
public struct ReleaseRequest: Sendable, Hashable {
    /// The ID of the requesting participant; empty if it gave none, as Apache Curator's `Revoker` does.
    public var requesterID: String
    /// The reason, for operators; empty if none was given.
    public var reason: String

    /// Creates a request, for tests.
    public init(requesterID: String = "", reason: String = "") {
        self.requesterID = requesterID
        self.reason = reason
    }

    /// The data that Apache Curator's `Revoker` writes over the holder's data.
    static let curatorMessage = Array("__REVOKE__".utf8)
}

extension Lease {
    /// The requests to release this lock: first those received so far, then each new one.
    ///
    /// The sequence ends when the lock is released or lost.
    public var releaseRequests: AsyncStream<ReleaseRequest> { place.requests.follow() }
}

extension DistributedMutex {
    /// Asks a holder of the lock to release it; the holder receives the request in ``Lease/releaseRequests``.
    ///
    /// If the entry waits for the lock, it receives the request once it acquires the lock. The data of the entry's
    /// znode does not change. The request is withdrawn when that znode is deleted or this client's session ends.
    /// Holders that use another implementation do not understand the request.
    ///
    /// - Parameters:
    ///   - entry: An entry of this lock's ``queue()``.
    ///   - reason: The reason, for operators. Default: empty.
    /// - Returns: Whether the entry still existed.
    /// - Throws: `ZooKeeperError` with code `.noAuth` or `.clientStopped`; `CancellationError`, in which case the
    ///   request may have been sent.
    /// - Complexity: 2 requests in 2 round trips, and 3 in the background; the holder sends 4.
    @discardableResult
    public func requestRelease(from entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await ReleaseRequest(requesterID: id, reason: reason).send(to: entry, client: client)
    }
}

extension DistributedReadWriteLock {
    /// Asks a holder of the lock to release it; see ``DistributedMutex/requestRelease(from:reason:)``.
    ///
    /// - Parameters:
    ///   - entry: An entry of this lock's ``queue()``.
    ///   - reason: The reason, for operators. Default: empty.
    /// - Returns: Whether the entry still existed.
    /// - Throws: The errors of ``DistributedMutex/requestRelease(from:reason:)``.
    /// - Complexity: 2 requests in 2 round trips, and 3 in the background; the holder sends 4.
    @discardableResult
    public func requestRelease(from entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await ReleaseRequest(requesterID: id, reason: reason).send(to: entry, client: client)
    }
}

extension DistributedSemaphore {
    /// Asks the holder of a lease to release it; see ``DistributedMutex/requestRelease(from:reason:)``.
    ///
    /// - Parameters:
    ///   - entry: An entry of this semaphore's ``queue()``.
    ///   - reason: The reason, for operators. Default: empty.
    /// - Returns: Whether the entry still existed.
    /// - Throws: The errors of ``DistributedMutex/requestRelease(from:reason:)``.
    /// - Complexity: 2 requests in 2 round trips, and 3 in the background; the holder sends 4.
    @discardableResult
    public func requestRelease(from entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await ReleaseRequest(requesterID: id, reason: reason).send(to: entry, client: client)
    }
}

extension ReleaseRequest {
    func send(to entry: LockQueueEntry, client: ZooKeeperClient) async throws -> Bool {
        let (queue, name) = entry.path.asChild
        let request = ContenderRequest(.release, requesterID: requesterID, reason: reason)
        guard let (path, session) = try await request.send(to: name, inQueue: queue, client: client) else {
            return false
        }
        Self.withdraw(path, whenGone: entry.path, session: session)
        return true
    }

    /// Deletes the request once the holder's znode is gone, so that an unhandled request does not remain.
    private static func withdraw(_ path: String, whenGone holder: String, session: SessionHandle) {
        let sink = WatchSink { event in
            if event.kind == .sessionEnded { return }
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
    /// The path of the parent znode, and the name of the child.
    var asChild: (directory: String, name: String) {
        guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("/", self) }
        let directory = String(self[..<slash])
        return (directory.isEmpty ? "/" : directory, String(self[utf8.index(after: slash)...]))
    }
}

extension HeldLock {
    /// Handles a write to one of the lock's znodes: a request, or a revocation by Curator.
    func hear(_ bytes: [UInt8], at path: String) {
        guard bytes != ReleaseRequest.curatorMessage else {
            requests.send(ReleaseRequest())
            // Restores the holder's data, by which other processes identify the holder.
            return session.post(.setData(path: path, data: data))
        }
        takeRequests(for: path)
    }

    /// Takes the requests to one of the lock's znodes, again after a pause if the connection is lost meanwhile.
    private func takeRequests(for path: String) {
        let (queue, name) = path.asChild
        Task { [requests, session, weak self] in
            let taken: ContenderRequest.Taken
            do {
                taken = try await ContenderRequest.take(for: name, inQueue: queue, session: session)
            } catch let error as ZooKeeperError where error.isTransientInSession {
                taken = ContenderRequest.Taken(isComplete: false)
            } catch {
                return
            }
            for release in taken.requests where release.kind == .release {
                requests.send(ReleaseRequest(requesterID: release.requesterID, reason: release.reason))
            }
            guard !taken.isComplete else { return }
            session.retryLater { [weak self] in self?.takeRequests(for: path) }
        }
    }
}
