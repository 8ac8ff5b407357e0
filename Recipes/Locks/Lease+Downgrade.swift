internal import ZooKeeper

extension Lease {
    /// Downgrades the write lock to a read lock, without letting another writer acquire the lock in between.
    ///
    /// Readers that wait behind the write lock acquire their read locks. The read znode gets the sequence number of the
    /// write znode. A lease that already is a read lock does not change. If the write lock is nested in an outer one,
    /// the outer one is downgraded too.
    ///
    /// - Throws: ``RecipeError`` with code `.lost`, `.released`, or `.notReadWrite` for a lease of a mutex or a
    ///   semaphore, which stays held; `ZooKeeperError` if the ensemble refuses the znode; `CancellationError`. After a
    ///   `ZooKeeperError` or a `CancellationError` the write lock is still held.
    /// - Complexity: 1 request that is awaited, and 2 in the background.
    public func downgrade() async throws {
        if place.kind == .read { return }
        guard place.kind == .write else {
            throw RecipeError(
                .notReadWrite, in: .lock, path: place.key.path,
                message: "only a read-write lock's lease can be downgraded; release this one")
        }
        guard isValid, let name = place.name, let cleanUp = place.expectSecondNode(name.prefix) else {
            throw notHeldError
        }
        let session = place.session
        let path = ZNodePath.child(name.renamed(to: .read), of: place.key.path)
        let created: (czxid: ZXID, batch: RequestBatch)
        do {
            created = try await createReadNode(path)
        } catch {
            if !place.isInUse { session.cleanUp(.node(path: path)) }
            throw error
        }
        let held = session.hold(path, czxid: created.czxid, seenBy: created.batch)
        guard held.isValid, isValid else {
            held.release()
            // The last user has left meanwhile, and its clean-up may have come before the znode.
            if !place.isInUse { session.cleanUp(.node(path: path)) }
            throw notHeldError
        }
        var later = cleanUp
        if case .node = cleanUp { later = .node(path: path) }
        guard place.downgrade(to: held, cleanUp: later) else {
            held.release()
            if !place.isInUse { session.cleanUp(.node(path: path)) }
            return
        }
        SharedReadLocks.add(place)
    }

    /// Creates the read znode.
    ///
    /// The name is unique to this lease. If the outcome of a creation is unknown, repeating it reports that the znode
    /// exists.
    private func createReadNode(_ path: String) async throws -> (czxid: ZXID, batch: RequestBatch) {
        let session = place.session
        var backoff = place.client.makeBackoff(.quick)
        while true {
            var batch = RequestBatch()
            do {
                let request = SessionRequest.create(path: path, data: place.data, mode: .ephemeral)
                return (try await session.sendAll([request], batch: batch)[0].get().created.stat.czxid, batch)
            } catch let error as ZooKeeperError where error.code == .nodeExists {
                batch = RequestBatch()
                let stat = try await session.sendAll([.exists(path: path)], batch: batch)[0].get().stat
                guard stat.ephemeralOwner == session.id else { throw error }
                return (stat.czxid, batch)
            } catch let error as ZooKeeperError where error.code == .sessionExpired {
                throw lostError
            } catch let error as ZooKeeperError where error.isOutcomeUnknown {
                try await place.client.clock.sleep(until: place.client.clock.now + backoff.pause())
                guard place.isInUse else { throw notHeldError }
            }
        }
    }
}
