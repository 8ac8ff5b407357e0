internal import Synchronization
internal import ZooKeeper

// A preferred participant asks leaders of a lower priority to hand over.
extension Election {
    /// Asks each new leader to hand over, once this participant is ready and has waited long enough, until cancelled.
    func seekTakeover() async {
        guard configuration.priority > 0 || hooks != nil else { return await untilCancelled() }
        var backoff = client.makeBackoff(.slow)
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

    /// Waits until this participant has been ready and in the queue for the configured time.
    private func becomeEligible() async throws {
        while true {
            for await isReady in readiness.follow() where isReady { break }
            try Task.checkCancellation()
            try await isInQueue()
            let (clock, end) = (client.clock, client.clock.now + configuration.takeoverDelay)
            if try await whileReady({ try await clock.sleep(until: end) }) { return }
        }
    }

    /// Runs an operation until it ends, or until this participant is no longer ready.
    ///
    /// - Returns: Whether the operation ended.
    @discardableResult
    private func whileReady(_ operation: @escaping @Sendable () async throws -> Void) async throws -> Bool {
        let readiness = readiness
        return try await race(
            {
                try await operation()
                return true
            },
            {
                for await isReady in readiness.follow() where !isReady { return false }
                throw CancellationError()
            })
    }

    private func isInQueue() async throws {
        for await state in broadcast.follow() {
            if case .waiting(.some) = state { return }
        }
        throw CancellationError()
    }

    /// Watches the epoch znode, which changes with each term, and asks leaders of a lower priority to hand over.
    private func askLeaders() async throws {
        // The leader may have made an offer while this participant was disconnected. Or the leader does not answer.
        var requests = TakeoverRequests(
            priority: hooks == nil ? configuration.priority : .max,
            backoff: client.makeBackoff(.takeover(delay: configuration.takeoverDelay)))
        var standing: (path: String, session: SessionHandle)?
        while true {
            let (epoch, watch) = try await watchEpoch()
            let waiting = shared.withLock { $0.waiting }
            if requests.isDue(to: epoch, from: waiting?.candidate, at: client.clock.now),
                let epoch, let (own, session) = waiting
            {
                if let (path, session) = standing { ContenderRequest.withdraw(path, session: session) }
                standing = nil
                let request = ContenderRequest(
                    .takeover, requesterID: id,
                    details: ["candidate": own, "priority": String(configuration.priority)])
                standing = try await request.send(
                    to: epoch.candidate, inQueue: path, client: client, session: session
                ).map { ($0, session) }
            }
            try await wait(for: watch, until: requests.nextLook)
        }
    }

    /// Waits until the watch has fired, or until an instant.
    private func wait(for watch: Watch, until instant: MonotonicInstant?) async throws {
        guard let instant else { return _ = try await watch.event() }
        _ = try await client.clock.run(until: instant) { try await watch.event() }
    }

    private func watchEpoch() async throws -> (ElectionEpoch?, Watch) {
        let path = ElectionEpoch.path(of: path)
        while true {
            do {
                let (data, _, watch) = try await client.watchData(at: path, share: nil)
                return (ElectionEpoch(data), watch)
            } catch let error as ZooKeeperError where error.code == .noNode {
                let (stat, watch) = try await client.watchExistence(at: path, share: nil)
                if stat == nil { return (nil, watch) }
            }
        }
    }
}
