internal import ZooKeeper

/// The locks that the present task and its ancestors hold, the innermost last.
enum LockContext {
    @TaskLocal static var places: [LockPlace] = []
}

extension ReadWriteLock {
    /// How long an acquisition may take.
    enum Patience {
        /// Does not wait for others at all.
        case none
        case atMost(Duration)
        case unlimited
    }

    /// Thirty-four years: what clocks can reckon with.
    private static let longestPatience: Duration = .seconds(1 << 30)

    /// Finds the place to hold by; the caller must leave it.
    func place(_ kind: ContenderName.Kind, _ patience: Patience) async throws -> LockPlace {
        if let outer = LockContext.places.last(where: { $0.key == key && $0.isInUse }) {
            return try nest(kind, in: outer)
        }
        let deadline: MonotonicInstant? =
            switch patience {
            case .none: client.clock.now + client.configuration.retry.deadline
            case .atMost(let duration): client.clock.now + min(duration, Self.longestPatience)
            case .unlimited: nil
            }
        if kind == .read, let shared = try await share(until: deadline) { return shared }
        var waits = true
        if case .none = patience { waits = false }
        let data = Array(holderName.utf8)
        let contender = Contender(
            client: client, directory: path, policy: kind == .read ? .read : .write, data: data, waits: waits)
        let place = LockPlace(try await contender.acquire(until: deadline), key: key, client: client, data: data)
        if kind == .read { SharedPlaces.add(place) }
        return place
    }

    /// A lock inside one that is held is a part of it, and is lost with it (H20).
    private func nest(_ kind: ContenderName.Kind, in outer: LockPlace) throws -> LockPlace {
        if kind == .write, outer.kind == .read {
            throw LockError(
                .upgradeNotAllowed, path: path,
                message: "this task holds the read lock and would wait for itself; take the write lock from the start")
        }
        guard outer.enter() else {
            throw LockError(.lost, path: path, reason: outer.lossReason)
        }
        return outer
    }

    /// Joins a read lock that this client holds, unless a writer is queued behind it: that one would starve.
    private func share(until deadline: MonotonicInstant?) async throws -> LockPlace? {
        guard let place = SharedPlaces.enter(key) else { return nil }
        do {
            if try await mayShare(place, until: deadline) { return place }
        } catch {
            await place.leave()
            throw error
        }
        await place.leave()
        return nil
    }

    private func mayShare(_ place: LockPlace, until deadline: MonotonicInstant?) async throws -> Bool {
        let listing = OneShot<SessionResult?>()
        place.session.post(.children(path: path)) { listing.set($0) }
        place.loss.observe { _ in listing.set(nil) }
        let timer = deadline.map { deadline in
            Task { [clock = client.clock] in
                try await clock.sleep(until: deadline)
                listing.set(nil)
            }
        }
        defer { timer?.cancel() }
        guard case .success(.children(let names, _)) = try await listing.wait(), place.isValid else { return false }
        return !names.compactMap(ContenderName.init).contains { $0.kind == .write && $0.number > place.name.number }
    }
}

extension LockPlace {
    /// Why it is not valid any more.
    var lossReason: LossReason {
        loss.value ?? session.endReason ?? .deadlinePassed
    }
}
