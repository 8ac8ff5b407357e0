internal import Logging
internal import Synchronization
internal import ZooKeeper

extension PartitionGroup {
    /// Queues an input for the node's loop.
    func post(_ input: PartitionGroupStateMachine.Input) {
        shared.withLock { $0.inputs.append(input) }
        wakeUp.signal()
    }

    /// Ends the group with an error.
    func fail(_ error: any Error) {
        shared.withLock { shared in
            if shared.failure == nil { shared.failure = error }
        }
        post(.stop)
    }

    /// Returns the path of a partition's election.
    static func queue(of partition: String, in path: String) -> String { "\(path)/partitions/\(partition)" }

    func makeElection(_ partition: Partition) throws -> Election {
        var terms = configuration.leadership
        (terms.priority, terms.takeoverDelay, terms.acceptsTransfers, terms.isReadyAtStart) = (0, .zero, true, false)
        let id = partition.id
        return try Election(
            client: client, path: Self.queue(of: id, in: path), id: self.id, kind: .lock, configuration: terms,
            logger: logger,
            hooks: .init(
                onState: { [weak self] in self?.post(.election(id, $0)) },
                onTakeover: { [weak self] in self?.post(.asked(id, by: $0, candidate: $1)) })
        ) { [worker] term in
            try await worker(partition, term)
        }
    }
}

/// The loop that performs the decisions of a node's state machine.
///
/// There is one task for all partitions, and one election for each partition in which the node takes part.
struct PartitionGroupLoop: Sendable {
    typealias Machine = PartitionGroupStateMachine

    let group: PartitionGroup
    private var clock: any MonotonicClock { group.client.clock }

    init(group: PartitionGroup) {
        self.group = group
    }

    /// Runs until all elections have ended after a stop.
    func run(until cancelled: OneShot<Void>) async {
        var machine = makeMachine()
        await withDiscardingTaskGroup { tasks in
            follow(in: &tasks)
            var isCancelled = false
            while true {
                let (inputs, hasFailed) = take()
                let (hadRoom, before) = (machine.refused.isEmpty, machine.moves)
                for action in machine.handle(inputs, now: clock.now) { perform(action, in: &tasks) }
                group.client.recipeMetrics.moved(
                    gained: machine.moves.gained - before.gained, lost: machine.moves.lost - before.lost)
                if hadRoom, !machine.refused.isEmpty { tellRefused(machine) }
                // Inputs that arrive together are reported as one state.
                if group.shared.withLock({ $0.inputs.isEmpty }) { group.broadcast.send(PartitionGroupState(machine)) }
                if !isCancelled, hasFailed || cancelled.value != nil {
                    // Cancels the elections, so that they end at once.
                    tasks.cancelAll()
                    isCancelled = true
                }
                if machine.isStopping, machine.seats.isEmpty { break }
                await group.wakeUp.wait(until: machine.nextTime, clock: clock)
            }
            tasks.cancelAll()
        }
    }

    private func makeMachine() -> Machine {
        let (own, partitions) = group.shared.withLock { ($0.own, $0.partitions) }
        let chroot = group.client.configuration.chroot?.string.utf8.count ?? 0
        let candidate =
            PartitionGroup.queue(of: "", in: group.path) + "/"
            + ContenderName.name(uuid: Self.anyUUID, kind: .lock, number: 0)
        var configuration = group.configuration
        configuration.watchBudget = min(configuration.watchBudget, group.client.watchRoom / 10 * 9)
        var machine = Machine(
            own: own, configuration: configuration, warmsUp: group.warmUp != nil,
            candidateBytes: chroot + candidate.utf8.count + 4)
        machine.partitions = partitions
        return machine
    }

    private static let anyUUID = String(repeating: "0", count: 36)

    private func tellRefused(_ machine: Machine) {
        group.logger.error(
            "More partitions fall to this node than its session can watch; the others are left to those next in line",
            metadata: [
                "zookeeper.partitions": "\(machine.seats.count)", "zookeeper.refused": "\(machine.refused.count)",
                "zookeeper.watch_budget": "\(machine.configuration.watchBudget)",
            ])
    }

    private func take() -> ([Machine.Input], hasFailed: Bool) {
        group.shared.withLock { shared in
            defer { shared.inputs = [] }
            return (shared.inputs, shared.failure != nil)
        }
    }

    private func perform(_ action: Machine.Action, in tasks: inout DiscardingTaskGroup) {
        switch action {
        case .start(let partition): start(partition, in: &tasks)
        case .leave(let id, let atOnce): election(id)?.stop(atOnce ? .atOnce : .afterTerm, .resigned)
        case .warmUp(let partition):
            tasks.addTask {
                do {
                    try await group.warmUp?(partition)
                    group.post(.warmedUp(partition.id, isDone: true))
                } catch {
                    group.logger.warning(
                        "A partition's warm-up failed",
                        metadata: ["zookeeper.partition": "\(partition)", "zookeeper.reason": "\(error)"])
                    group.post(.warmedUp(partition.id, isDone: false))
                }
            }
        case .seek(let id): election(id)?.readiness.send(true)
        case .stopSeeking(let id): election(id)?.readiness.send(false)
        case .handOver(let id, let candidate):
            guard let election = election(id) else { return }
            tasks.addTask { group.post(.handedOver(id, await handOver(election, to: candidate))) }
        }
    }

    private func election(_ id: String) -> Election? { group.shared.withLock { $0.elections[id] } }

    private func start(_ partition: Partition, in tasks: inout DiscardingTaskGroup) {
        let (group, id) = (group, partition.id)
        let election: Election
        do {
            election = try group.makeElection(partition)
        } catch {
            // One partition must not affect the others or delay a shutdown.
            group.logger.error(
                "A partition cannot be started, and is left to other nodes",
                metadata: ["zookeeper.partition": "\(partition)", "zookeeper.reason": "\(error)"])
            return group.post(.notStarted(id))
        }
        group.shared.withLock { $0.elections[id] = election }
        tasks.addTask {
            do { try await election.run() } catch { group.fail(error) }
            group.shared.withLock { $0.elections[id] = nil }
            group.post(.ended(id))
        }
    }

    private func handOver(_ election: Election, to candidate: ContenderName) async -> Machine.HandOver {
        guard let term = election.term else { return .failed }
        do {
            // A recipient without a connection reconnects before its session ends, or not at all.
            let timeout = max(.seconds(5), term.held.session.timeout)
            try await election.handOver(to: candidate, in: term, until: clock.now + timeout)
            return .done
        } catch let error as RecipeError where error.code == .unknownParticipant {
            return .gone
        } catch {
            group.logger.info("A partition was not handed over", metadata: ["zookeeper.reason": "\(error)"])
            return .failed
        }
    }
}

// Observation of members, cordons and partitions.
extension PartitionGroupLoop {
    private func follow(in tasks: inout DiscardingTaskGroup) {
        let (group, membership) = (group, group.membership)
        tasks.addTask {
            do { try await membership.run() } catch { group.fail(error) }
        }
        tasks.addTask {
            for await members in membership.changes where members.isLive {
                group.post(.members(members.sorted.map { PartitionNode(name: $0.id, data: $0.data ?? []) }))
            }
        }
        tasks.addTask {
            for await state in membership.states {
                switch state {
                case .present(let znode): group.post(.standing(znode.stat.czxid.rawValue))
                case .unconfirmed, .stopped: continue
                case .refused: group.post(.standing(membership.node.ownCreation?.rawValue))
                case .absent, .occupied: group.post(.standing(nil))
                }
            }
        }
        tasks.addTask {
            await children(of: PartitionGroup.cordons(in: group.path), namesOnly: true) {
                group.post(.cordons(Set(names: $0.snapshot?.sorted.map(\.name) ?? [])))
            }
        }
        guard case .children(let path) = group.source else { return }
        tasks.addTask {
            var ignored: Set<ZNodeName> = []
            await children(of: path) { entry in
                let all = (entry.snapshot?.sorted ?? []).map { Partition(id: $0.name, data: $0.data ?? []) }
                let partitions = all.possible(in: path, ignored: &ignored, logger: group.logger)
                group.post(.partitions(partitions))
            }
        }
    }

    /// Observes a znode's children until the task is cancelled.
    private func children(of path: String, namesOnly: Bool = false, _ tell: (CacheEntry) -> Void) async {
        do {
            var configuration = ChildrenCache.Configuration()
            configuration.readsData = !namesOnly
            let cache = try ChildrenCache(
                client: group.client, path: path, configuration: configuration, logger: group.logger)
            async let running: Void = cache.run()
            for await entry in cache.changes where entry.isLive { tell(entry) }
            try await running
        } catch {
            group.fail(error)
        }
    }
}

extension [Partition] {
    /// Returns the valid partitions, and logs one warning for each invalid one.
    func possible(in path: String, ignored: inout Set<ZNodeName>, logger: Logger) -> [Partition] {
        filter { partition in
            guard let problem = partition.problem else { return true }
            if ignored.insert(partition.id) {
                logger.warning(
                    "A child cannot be a partition and is ignored",
                    metadata: ["zookeeper.path": "\(path)", "zookeeper.reason": "\(problem)"])
            }
            return false
        }
    }
}
