internal import Synchronization
internal import ZooKeeper

// A participant that is preferred asks leaders of a lower priority for their place.
extension Election {
    /// Asks each leader that follows, once this participant is ready and has waited long enough; until cancelled.
    func seekTakeover() async {
        guard configuration.priority > 0 || hooks != nil else { return await untilCancelled() }
        var backoff = Backoff(initial: .milliseconds(50), cap: .seconds(5), seed: client.randomness.next())
        while !Task.isCancelled {
            do {
                try await becomeEligible()
                try await whileReady { try await self.askLeaders() }
            } catch is CancellationError {
                return
            } catch {
                try? await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    private func untilCancelled() async {
        _ = try? await OneShot<Void>().wait()
    }

    /// Waits until this participant has been ready, and in the queue, for the configured time.
    private func becomeEligible() async throws {
        while true {
            for await isReady in readiness.follow() where isReady { break }
            try Task.checkCancellation()
            try await isInQueue()
            let (clock, end) = (client.clock, client.clock.now + configuration.takeoverDelay)
            if try await whileReady({ try await clock.sleep(until: end) }) { return }
        }
    }

    /// Runs an operation to its end, or until this participant is not ready any more.
    ///
    /// - Returns: Whether it came to its end.
    @discardableResult
    private func whileReady(_ operation: @escaping @Sendable () async throws -> Void) async throws -> Bool {
        let readiness = readiness
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await operation()
                return true
            }
            group.addTask {
                for await isReady in readiness.follow() where !isReady { return false }
                throw CancellationError()
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    private func isInQueue() async throws {
        for await state in broadcast.follow() {
            if case .waiting(.some) = state { return }
        }
        throw CancellationError()
    }

    /// Follows the epoch znode, which tells of each term, and asks those of a lower priority.
    private func askLeaders() async throws {
        // Each candidate asks each leader once.
        var asked: (leader: String, own: String) = ("", "")
        while true {
            let (epoch, watch) = try await watchEpoch()
            if let epoch, hooks != nil || epoch.priority < configuration.priority,
                let (own, session) = shared.withLock({ $0.waiting }), asked != (epoch.candidate, own)
            {
                let request = ContenderRequest(
                    .takeover, asker: id,
                    details: ["candidate": own, "priority": String(configuration.priority)])
                _ = try await request.send(to: epoch.candidate, inQueue: path, client: client, session: session)
                asked = (epoch.candidate, own)
            }
            _ = try await watch.event()
        }
    }

    private func watchEpoch() async throws -> (ElectionEpoch?, Watch) {
        let path = ElectionEpoch.path(of: path)
        while true {
            do {
                let (data, _, watch) = try await client.watchData(at: path)
                return (ElectionEpoch(data), watch)
            } catch let error as ZooKeeperError where error.code == .noNode {
                let (stat, watch) = try await client.watchExistence(at: path)
                if stat == nil { return (nil, watch) }
            }
        }
    }
}
