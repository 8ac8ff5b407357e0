internal import ZooKeeper

extension DistributedReadWriteLock {
    /// Acquires the lock and returns the held lock, which the caller must leave.
    func place(
        _ kind: ContenderName.Kind, _ deadline: MonotonicInstant?, waits: Bool, onQueued: OnQueued? = nil
    ) async throws -> HeldLock {
        if let outer = LockContext.place(key) { return try nest(kind, in: outer) }
        if kind == .read, let shared = try await share(until: deadline) { return shared }
        let data = lockData.bytes
        let contender = Contender(
            client: client, directory: path, policy: kind == .read ? .read : .write, data: data,
            waits: waits)
        contender.onQueued(onQueued)
        let place = HeldLock(try await contender.acquire(until: deadline), key: key, client: client, data: data)
        if kind == .read { SharedReadLocks.add(place) }
        return place
    }

    /// Returns the outer lock for a nested one, which is lost together with the outer lock.
    private func nest(_ kind: ContenderName.Kind, in outer: HeldLock) throws -> HeldLock {
        if kind == .write, outer.kind == .read {
            throw RecipeError(
                .upgradeNotAllowed, in: .lock, path: path,
                message: "this task, or the task that started it, holds the read lock and would wait for itself; "
                    + "acquire the write lock from the start, or in a Task.detached that the body does not wait for")
        }
        guard outer.enter() else { throw outer.lostError }
        return outer
    }

    /// Shares a read lock that this client holds, unless a writer waits behind it, which could starve otherwise.
    private func share(until deadline: MonotonicInstant?) async throws -> HeldLock? {
        guard let place = SharedReadLocks.enter(key) else { return nil }
        do {
            if try await mayShare(place, until: deadline) { return place }
        } catch {
            await place.leave()
            throw error
        }
        await place.leave()
        return nil
    }

    private func mayShare(_ place: HeldLock, until deadline: MonotonicInstant?) async throws -> Bool {
        guard let number = place.name?.number else { return false }
        let listing = OneShot<SessionResult?>()
        place.session.post(.children(path: path)) { listing.set($0) }
        let loss = place.loss.observe { _ in listing.set(nil) }
        let timer = deadline.map { client.clock.schedule(at: $0) { listing.set(nil) } }
        defer {
            timer?.cancel()
            loss.cancel()
        }
        guard case .success(.children(let names, _)) = try await listing.wait(), place.isValid else { return false }
        return !names.compactMap(ContenderName.init).contains { $0.kind == .write && $0.number > number }
    }
}
