internal import Logging
package import ZooKeeper

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
    /// reason, a client that stops waits for the call, and a cancellation ends the call only as long as nothing can
    /// have been changed: before the transaction is sent, or after it has certainly failed. Without a connection, the
    /// call waits for one until then. A later cancellation is ignored.
    ///
    /// A holder that uses another implementation, such as a JVM process, does not notice the eviction, and has no
    /// deadline: end its process first. Work that ignores its cancellation must be refused by its fencing token. Do not
    /// use it for the locks of an ``ExclusiveMode``, whose windows evict processors themselves.
    ///
    /// - Parameters:
    ///   - entry: A holder in this lock's ``queue()``.
    ///   - reason: The reason, which the placeholder's entry in ``queue()`` shows. Default: empty.
    /// - Returns: Whether the holder was evicted; `false` if it had left already, in which case nothing was changed.
    /// - Throws: ``RecipeError`` with code `.notAvailable` and the operator in ``RecipeError/participants`` if the entry
    ///   is a placeholder, or if another operator is evicting the holder, in which case nothing was changed; `.lost` if
    ///   the holder was evicted, and the wait was cut short because the placeholder was deleted or the session of this
    ///   client was ended. `ZooKeeperError` with code `.noAuth`, `.clientStopped` or `.sessionExpired`; with the last
    ///   one, the holder may have been evicted, and the wait is over; with `.connectionLoss`, it was evicted, and the
    ///   placeholder could not be checked. `CancellationError` if the task is cancelled before the transaction is sent
    ///   or after it has certainly failed; nothing was changed then.
    /// - Complexity: 8 requests in 4 round trips.
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
    ///   - reason: The reason, which the placeholder's entry in ``queue()`` shows. Default: empty.
    /// - Returns: Whether the holder was evicted; `false` if it had left already.
    /// - Throws: The errors of ``DistributedMutex/evict(_:reason:)``.
    /// - Complexity: 8 requests in 4 round trips.
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
    ///   - reason: The reason, which the placeholder's entry in ``queue()`` shows. Default: empty.
    /// - Returns: Whether the holder was evicted; `false` if it had left already.
    /// - Throws: The errors of ``DistributedMutex/evict(_:reason:)``.
    /// - Complexity: 8 requests in 4 round trips.
    @discardableResult
    public func evict(_ entry: LockQueueEntry, reason: String = "") async throws -> Bool {
        try await LockEviction.run(entry, requesterID: id, reason: reason, client: client)
    }
}

/// The eviction of a holder, in one session.
package struct LockEviction: Sendable {
    /// What has the place in the queue.
    private enum Place: Equatable {
        /// The placeholder of this eviction.
        case replaced
        /// The holder, whose znode has this data version.
        case held(version: Int32)
        /// The holder has left.
        case left
    }

    private let entry: LockQueueEntry
    private let placeholder: String
    private let data: [UInt8]
    private let client: ZooKeeperClient
    private let session: SessionHandle
    private let ignoredCancellation: OneShot<Void>

    /// Evicts a holder; see ``DistributedMutex/evict(_:reason:)``.
    ///
    /// - Parameter ignoredCancellation: Set if the task is cancelled when the holder may have been evicted already, so
    ///   that the eviction continues.
    package static func run(
        _ entry: LockQueueEntry, requesterID: String, reason: String, client: ZooKeeperClient,
        ignoredCancellation: OneShot<Void> = OneShot()
    ) async throws -> Bool {
        if entry.eviction != nil { throw isBeingEvicted(at: entry.path, by: entry.participantID, entry.eviction) }
        let session = try await client.connectedSession()
        let uuid = ContenderName.makeUUID(using: client.randomness)
        let record = LockQueueEntry.Eviction(
            participantID: entry.participantID, reason: reason, duration: session.timeout)
        let eviction = LockEviction(
            entry: entry, placeholder: EvictionPlaceholder.path(for: entry.path, uuid: uuid),
            data: record.bytes(operatorID: requesterID), client: client, session: session,
            ignoredCancellation: ignoredCancellation)
        return try await eviction.run()
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
        let result: Result<Void, any Error>
        // Without the placeholder, the next participant may acquire the lock too early.
        do {
            result = .success(try await ignoringCancellation { try await outlastHolder() })
        } catch {
            result = .failure(error)
        }
        await session.cleanUpWhileConnected(.node(path: placeholder), releasing: reservation)
        try result.get()
        return true
    }

    /// Runs an operation to its end, also if the calling task is cancelled.
    private func ignoringCancellation<Value: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let task = Task { try await operation() }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            ignoredCancellation.set(())
        }
    }

    /// Waits for a session timeout, after which the holder cannot be valid, and checks that the placeholder still
    /// exists.
    ///
    /// Its name is unique, and it was created once: if it exists now, it has existed all the time.
    private func outlastHolder() async throws {
        let end = client.clock.now + session.timeout
        // A session that ends earlier has not expired: another process has closed it, and the placeholder is gone.
        let reason = try await client.clock.run(until: end) { [session] in try await session.waitForEnd() }
        if reason == .sessionEnded { throw isCutShort(.sessionEnded) }
        try await client.clock.sleep(until: end)
        // Without a connection, the placeholder exists for another session timeout at most.
        let exists = try await client.clock.run(until: end + session.timeout) { try await placeholderExists() }
        guard let exists else {
            throw ZooKeeperError(.connectionLoss, path: placeholder, message: "the placeholder could not be checked")
        }
        if !exists { throw isCutShort(.znodeDeleted) }
    }

    /// Returns whether the placeholder exists, or has existed until the session expired, after the wait.
    private func placeholderExists() async throws -> Bool {
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                let found = try await session.sendAll(
                    behindBarrierAt: placeholder, [.exists(path: placeholder)], whileClosing: true)
                return try found[0].replyIfExists() != nil
            } catch let error as ZooKeeperError where error.code == .sessionExpired {
                return true
            } catch let error as ZooKeeperError where error.isTransientInSession {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    private func isCutShort(_ reason: LossReason) -> RecipeError {
        RecipeError(
            .lost, in: .lock, path: entry.path, lossReason: reason, participants: [entry.participantID],
            message: "the holder is evicted, but its placeholder did not exist until the end of the wait, so that the "
                + "holder and the next one may have been valid at the same time")
    }

    /// Returns the error about an eviction that another operator has begun.
    private static func isBeingEvicted(
        at path: String, by operatorID: String, _ eviction: LockQueueEntry.Eviction?
    ) -> RecipeError {
        RecipeError(
            .notAvailable, in: .lock, path: path, participants: [operatorID],
            message: "\(operatorID) is evicting \(eviction?.participantID ?? ""); wait until that ends")
    }

    /// Replaces the holder's znode by the placeholder.
    ///
    /// - Returns: Whether it is replaced; `false` if the holder had left.
    /// - Throws: `CancellationError`, in which case it is not replaced; other errors.
    private func replaceHolder() async throws -> Bool {
        var backoff = client.makeBackoff(.quick)
        var place = try await place()
        while case .held(let version) = place {
            do {
                _ = try await session.sendUnlessCancelled(
                    .multi([
                        .delete(entry.path, version: version),
                        .create(placeholder, data: data, mode: .ephemeral),
                    ]), ignoredCancellation: ignoredCancellation)
                return true
            } catch let error as ZooKeeperError where error.mayBeRepeated {
                // After a lost answer, the holder may be replaced until a server says that it is not.
                if error.isOutcomeUnknown,
                    try await ignoringCancellation({ try await self.place(whileClosing: true) }) == .replaced
                {
                    return true
                }
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
                place = try await self.place()
            }
        }
        return place == .replaced
    }

    /// Reads what has the place in the queue, retrying until a server answers.
    ///
    /// The answer takes into account everything that this session has sent before.
    ///
    /// - Parameter whileClosing: Whether a closing client reads it as well.
    /// - Throws: ``RecipeError`` with code `.notAvailable` if the placeholder of another eviction has the place.
    private func place(whileClosing: Bool = false) async throws -> Place {
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                let found = try await session.sendAll(
                    behindBarrierAt: entry.path, [.exists(path: placeholder), .exists(path: entry.path)],
                    whileClosing: whileClosing)
                if try found[0].replyIfExists() != nil { return .replaced }
                if let stat = try found[1].replyIfExists()?.stat, isHolder(stat) {
                    return .held(version: stat.dataVersion)
                }
                try await refuseOtherEviction()
                return .left
            } catch let error as ZooKeeperError where error.mayBeRepeated {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    /// Checks that no other placeholder has replaced the holder's znode.
    ///
    /// - Throws: ``RecipeError`` with code `.notAvailable` if there is one.
    private func refuseOtherEviction() async throws {
        let (directory, name) = entry.path.asChild
        let place = EvictionPlaceholder.place(of: name)
        guard let listing = try await session.sendAll(.children(path: directory))[0].replyIfExists() else { return }
        let other = try listing.children.names.first { name in
            EvictionPlaceholder.isPlaceholder(name) && EvictionPlaceholder.place(of: name).hasBytes(of: place)
        }
        guard let other,
            let reply = try await session.sendAll(.data(path: ZNodePath.child(other, of: directory)))[0].replyIfExists()
        else { return }
        let data = try reply.data.data
        throw Self.isBeingEvicted(
            at: entry.path, by: KeyValueData(data)["owner"] ?? "", LockQueueEntry.Eviction(data))
    }

    private func isHolder(_ stat: ZNodeStat) -> Bool {
        entry.token.map { $0.rawValue == stat.czxid.rawValue } ?? true
    }
}

extension ZooKeeperError {
    /// Whether the state has to be read again: the answer was lost, or the holder's znode was written or deleted.
    fileprivate var mayBeRepeated: Bool { isTransientInSession || [.badVersion, .noNode].contains(code) }
}
