internal import Logging
internal import ServiceLifecycle
internal import ZooKeeper
internal import ZooKeeperRecipes

extension ScheduledTask {
    /// Takes part in the election and runs the task until it is stopped.
    ///
    /// On cancellation a run in progress is cancelled and awaited, its record is marked as interrupted, and the
    /// candidate is deleted, before this method returns. A node without a run leaves at once. A graceful shutdown does
    /// the same, unless ``ScheduledTask/Configuration/onGracefulShutdown`` lets the run finish first.
    ///
    /// - Throws: `ZooKeeperError` with code `.clientStopped` or `.authenticationFailed` if the client ends first;
    ///   `RecipeError` with code `.invalidArgument` if this method was called before. All other errors are reported by
    ///   ``states`` and retried.
    /// - Complexity: On standby, no requests. The leader sends 4 writes for each period, 1 more to prune a record, and
    ///   1 for each ``ScheduledTask/Configuration/clockInterval``. Taking over costs the requests of a `LeaderSelector`,
    ///   then 5, and 1 for each record with up to 64 in flight.
    public func run() async throws {
        try runOnce.begin("a scheduled task", in: .scheduledTask, path: path)
        defer { broadcast.finish(.stopped) }
        while !Task.isCancelled, !Task.isShuttingDownGracefully {
            if try await mayStand() { try await stand() }
        }
    }

    /// The reader of the ensemble's clock.
    var clock: EnsembleClock {
        EnsembleClock(
            client: client, path: TaskPaths(path).clock, record: ClockRecord(participantID: id, schedule: schedule),
            wallClock: wallClock)
    }

    /// Compares the clocks before this node joins the election.
    ///
    /// - Returns: Whether this node may join. If the clocks differ too much, the result comes after a pause.
    private func mayStand() async throws -> Bool {
        var backoff = client.makeBackoff(.slow)
        while true {
            do {
                return try await cancelWhenGracefulShutdown {
                    let skew = try await self.clock.read().skew
                    guard skew.exceeds(self.configuration.maximumClockSkew) else { return true }
                    await self.refuse(skew)
                    return false
                }
            } catch let error as ZooKeeperError
                where error.code == .clientStopped || error.code == .authenticationFailed
            {
                throw error
            } catch let error as ZooKeeperError {
                let span = backoff.pause()
                let failure = ElectionFailure(
                    reason: "\(error)", isUnauthorized: error.code == .noAuth, retryDelay: span)
                tell(.failed(failure))
                await pause(span)
                if Task.isCancelled || Task.isShuttingDownGracefully { return false }
            } catch is CancellationError {
                return false
            }
        }
    }

    private func refuse(_ skew: ClockSkew) async {
        tell(.clockSkew(skew))
        logger.warning("Does not take the schedule", metadata: ["zookeeper.skew": "\(skew)"])
        await pause(min(configuration.clockInterval, .seconds(30)))
    }

    private func pause(_ span: Duration) async {
        let clock = client.clock
        try? await cancelWhenGracefulShutdown { try await clock.sleep(until: clock.now + span) }
    }

    /// Takes part in the election until it is stopped, or until the clocks differ too much.
    private func stand() async throws {
        let refused = OneShot<Void>()
        let participant = try makeSelector { term in
            let scheduler = Scheduler(task: self, term: term)
            do {
                try await scheduler.run()
            } catch let error as ClockSkewError {
                self.tell(.clockSkew(error.skew))
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

/// The error of a node whose clock differs too much from the ensemble's to lead.
struct ClockSkewError: Error {
    var skew: ClockSkew
}
