internal import Logging
internal import ServiceLifecycle
internal import ZooKeeper
internal import ZooKeeperRecipes

extension ScheduledTask {
    /// Takes part until stopped.
    ///
    /// On cancellation a run that is on is cancelled and awaited, its record says that it was interrupted, and the place is
    /// given up, before this returns; a node that runs nothing leaves at once. So on graceful shutdown, unless
    /// ``ScheduledTaskConfiguration/onGracefulShutdown`` lets the run finish first.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` when the client ended first;
    ///   `RecipeError` with code `.invalidArgument` when it was run before. Everything else is told by ``states``
    ///   and tried again.
    public func run() async throws {
        try runOnce.begin("a node's part of a task", in: .scheduledTask, path: path)
        defer { broadcast.finish(.stopped) }
        while !Task.isCancelled, !Task.isShuttingDownGracefully {
            if try await mayStand() { try await stand() }
        }
    }

    private var clock: EnsembleClock {
        EnsembleClock(client: client, path: TaskPaths(path).clock, node: node, wallClock: wallClock)
    }

    /// Compares clocks; when they differ too much, waits before it is done again.
    private func mayStand() async throws -> Bool {
        var backoff = client.makeBackoff(.slow)
        while true {
            do {
                return try await cancelWhenGracefulShutdown {
                    let skew = try await self.clock.read().skew
                    guard skew.exceeds(self.configuration.skewLimit) else { return true }
                    await self.refuse(skew)
                    return false
                }
            } catch let error as ZooKeeperError
                where error.code == .clientStopped || error.code == .authenticationFailed
            {
                throw error
            } catch let error as ZooKeeperError {
                let span = backoff.pause()
                let failure = LeadershipFailure(
                    reason: "\(error)", isForbidden: error.code == .noAuth, retriesAfter: span)
                tell(.failed(failure))
                await pause(span)
                if Task.isCancelled || Task.isShuttingDownGracefully { return false }
            } catch is CancellationError {
                return false
            }
        }
    }

    private func refuse(_ skew: ClockSkew) async {
        tell(.refused(skew))
        logger.warning("Does not take the schedule", metadata: ["zookeeper.skew": "\(skew)"])
        await pause(min(configuration.clockInterval, .seconds(30)))
    }

    private func pause(_ span: Duration) async {
        let clock = client.clock
        try? await cancelWhenGracefulShutdown { try await clock.sleep(until: clock.now + span) }
    }

    /// Takes part in the election until stopped, or until the clocks differ too much.
    private func stand() async throws {
        let refused = OneShot<Void>()
        let participant = try makeSelector { term in
            let scheduler = Scheduler(task: self, term: term)
            do {
                try await scheduler.run()
            } catch let error as ClockSkewError {
                self.tell(.refused(error.skew))
                refused.set(())
            }
        }
        participant.leave(when: refused)
        let states = participant.states
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await state in states { self.relay(state) }
            }
            try await participant.run()
            group.cancelAll()
        }
    }

    private func relay(_ state: LeaderState) {
        switch state {
        case .waiting(let position): tell(.standby(position: position))
        case .failed(let failure): tell(.failed(failure))
        case .leading, .stopped: break
        }
    }
}

/// The clocks differ too much to lead.
struct ClockSkewError: Error {
    var skew: ClockSkew
}
