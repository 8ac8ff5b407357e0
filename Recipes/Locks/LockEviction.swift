internal import Logging
internal import ZooKeeper

extension DistributedMutex {
    /// Evicts a holder that does not release the lock, and waits until it can no longer be valid.
    ///
    /// One transaction deletes the holder's znode and creates a placeholder at the same position of the queue. The
    /// holder loses the lock as soon as it learns of that: within a round trip if it is connected, otherwise at its
    /// deadline, which is within one session timeout. The placeholder blocks the participants behind for the session
    /// timeout of *this* client. Then it is deleted, and the next participant acquires the lock.
    ///
    /// - Important: The session timeout of this client must not be shorter than that of the holder. A client that
    ///   requests an hour gets the longest timeout that the servers allow for any session.
    ///
    /// A process that ends during the wait does not end it: the placeholder exists as long as the session. For the same
    /// reason, the call is not cancelled once the transaction is sent, and a client that stops waits for it. A holder
    /// that uses another implementation, such as a JVM process, does not notice the eviction, and has no deadline: end
    /// its process first. Work that ignores its cancellation must be refused by its fencing token. Do not use it for
    /// the locks of an ``ExclusiveMode``, whose windows evict processors themselves.
    ///
    /// - Parameters:
    ///   - entry: A holder in this lock's ``queue()``.
    ///   - reason: The reason, which the placeholder's entry in ``queue()`` has as its data. Default: empty.
    /// - Returns: Whether the holder was evicted; `false` if it had left already, in which case nothing was changed.
    /// - Throws: `ZooKeeperError` with code `.noAuth`, `.clientStopped` or `.sessionExpired`; with the last one, the
    ///   holder may have been evicted, and the wait is over. `CancellationError`, in which case nothing was changed.
    /// - Complexity: 6 requests in 3 round trips.
    @discardableResult
    public func evict(_ entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await LockEviction.run(entry, requesterID: id, reason: reason, client: client)
    }
}

extension DistributedReadWriteLock {
    /// Evicts a holder that does not release the lock; see ``DistributedMutex/evict(_:reason:)``.
    ///
    /// The placeholder of a reader blocks only writers. All readers of a client share one znode, and are evicted
    /// together.
    ///
    /// - Parameters:
    ///   - entry: A holder in this lock's ``queue()``.
    ///   - reason: The reason, which the placeholder's entry in ``queue()`` has as its data. Default: empty.
    /// - Returns: Whether the holder was evicted; `false` if it had left already.
    /// - Throws: The errors of ``DistributedMutex/evict(_:reason:)``.
    /// - Complexity: 6 requests in 3 round trips.
    @discardableResult
    public func evict(_ entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await LockEviction.run(entry, requesterID: id, reason: reason, client: client)
    }
}

extension DistributedSemaphore {
    /// Evicts the holder of a lease; see ``DistributedMutex/evict(_:reason:)``.
    ///
    /// A holder of several leases loses all of them, but only the lease of this entry becomes free.
    ///
    /// - Parameters:
    ///   - entry: A lease in this semaphore's ``queue()``.
    ///   - reason: The reason, which the placeholder's entry in ``queue()`` has as its data. Default: empty.
    /// - Returns: Whether the holder was evicted; `false` if it had left already.
    /// - Throws: The errors of ``DistributedMutex/evict(_:reason:)``.
    /// - Complexity: 6 requests in 3 round trips.
    @discardableResult
    public func evict(_ entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await LockEviction.run(entry, requesterID: id, reason: reason, client: client)
    }
}

/// The eviction of a holder, in one session.
struct LockEviction: Sendable {
    private let entry: LockQueueEntry
    private let placeholder: String
    private let data: [UInt8]
    private let client: ZooKeeperClient
    private let session: SessionHandle

    /// Evicts a holder; see ``DistributedMutex/evict(_:reason:)``.
    static func run(
        _ entry: LockQueueEntry, requesterID: String, reason: String, client: ZooKeeperClient
    ) async throws -> Bool {
        let session = try await client.connectedSession()
        let uuid = ContenderName.makeUUID(using: client.randomness)
        let text = "evicts \(entry.participantID)\(reason.isEmpty ? "" : ": \(reason)")"
        let eviction = LockEviction(
            entry: entry, placeholder: placeholder(for: entry.path, uuid: uuid),
            data: LockData(participantID: requesterID, data: Array(text.utf8)).bytes, client: client,
            session: session)
        try Task.checkCancellation()
        // The task is not cancelled: without the placeholder, the next participant may acquire the lock too early.
        return try await Task { try await eviction.run() }.value
    }

    /// Returns the path of a placeholder with the same kind and number as a holder's znode.
    static func placeholder(for path: String, uuid: String) -> String {
        let (directory, name) = path.asChild
        let end =
            ContenderName(name).map { String(Substring(name.utf8.dropFirst($0.prefix.utf8.count))) }
            ?? SemaphoreRoom.word + String(Substring(name.utf8.suffix(10)))
        return ZNodePath.child(ContenderName.prefix(uuid: uuid) + end, of: directory)
    }

    private func run() async throws -> Bool {
        // A client that stops closes its session, and with it the placeholder, only after the wait.
        let reservation = session.reserve(placeholder)
        do {
            guard try await replaceHolder() else {
                reservation.release()
                return false
            }
        } catch {
            reservation.release()
            throw error
        }
        client.logger.notice(
            "Evicted a holder; its place stays taken for a session timeout",
            metadata: ["zookeeper.path": "\(entry.path)"])
        try await client.clock.sleep(until: client.clock.now + session.timeout)
        await session.cleanUpWhileConnected(.node(path: placeholder), releasing: reservation)
        return true
    }

    /// Replaces the holder's znode by the placeholder.
    ///
    /// - Returns: Whether it is replaced; `false` if the holder had left.
    private func replaceHolder() async throws -> Bool {
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                let found = try await session.sendAll(
                    behindBarrierAt: entry.path, [.exists(path: placeholder), .exists(path: entry.path)])
                // The answer to an earlier attempt may have been lost.
                if try found[0].replyIfExists() != nil { return true }
                guard let stat = try found[1].replyIfExists()?.stat, isHolder(stat) else { return false }
                _ = try await session.send(
                    .multi([
                        .delete(entry.path, version: stat.dataVersion),
                        .create(placeholder, data: data, mode: .ephemeral),
                    ]))
                return true
            } catch let error as ZooKeeperError where error.mayBeRepeated {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    private func isHolder(_ stat: ZNodeStat) -> Bool {
        entry.token.map { $0.rawValue == stat.czxid.rawValue } ?? true
    }
}

extension ZooKeeperError {
    /// Whether the state has to be read again: the answer was lost, or the holder's znode was written or deleted.
    fileprivate var mayBeRepeated: Bool { isTransientInSession || [.badVersion, .noNode].contains(code) }
}
