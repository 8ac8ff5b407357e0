internal import ZooKeeper

extension Lease {
    /// Turns the write lock into a read lock, without a moment in which another writer could come in.
    ///
    /// Readers that wait behind it come in. The read znode takes the write znode's number. A lease that is a read
    /// lock already stays as it is; a write lock that is a part of an outer one is downgraded with it.
    ///
    /// - Throws: ``RecipeError`` with code `.lost`, or `.notReadWrite` for a lease of a mutex or a semaphore, which stays
    ///   held; `ZooKeeperError` when the ensemble refuses the znode, and the
    ///   write lock is still held; `CancellationError`, and the write lock is still held.
    /// - Complexity: One request awaited, two more in the background.
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
        let created = try await createReadNode(path)
        let held = session.hold(path, czxid: created.czxid, seenBy: created.batch)
        guard held.isValid, isValid else {
            held.release()
            throw lostError
        }
        var later = cleanUp
        if case .node = cleanUp { later = .node(path: path) }
        guard place.downgrade(to: held, cleanUp: later) else {
            held.release()
            if !place.isInUse { session.cleanUp(.node(path: path)) }
            return
        }
        SharedPlaces.add(place)
    }

    /// The znode has a name of its own: created again after an unknown outcome, it is found to exist.
    private func createReadNode(_ path: String) async throws -> (czxid: ZXID, batch: RequestBatch) {
        let session = place.session
        var backoff = place.client.makeBackoff(.quick)
        while true {
            var batch = RequestBatch()
            do {
                let request = SessionRequest.create(path: path, data: place.data, mode: .ephemeral)
                return (try await session.flight([request], batch: batch)[0].get().created.stat.czxid, batch)
            } catch let error as ZooKeeperError where error.code == .nodeExists {
                batch = RequestBatch()
                let stat = try await session.flight([.exists(path: path)], batch: batch)[0].get().stat
                guard stat.ephemeralOwner == session.id else { throw error }
                return (stat.czxid, batch)
            } catch let error as ZooKeeperError where error.code == .sessionExpired {
                throw lostError
            } catch let error as ZooKeeperError where error.isOutcomeUnknown {
                try await place.client.clock.sleep(until: place.client.clock.now + backoff.pause())
            }
        }
    }
}
