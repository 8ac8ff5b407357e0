import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

/// Keeps the values of one recipe current: reads it again after each change of its znodes.
struct RecipeFollower: Sendable {
    let client: ZooKeeperClient
    let board: DashboardBoard
    let key: DashboardBoard.Key

    private var processors = ProcessorHistory()
    private var moves = MoveHistory()
    /// The periods of the runs that were not finished when the task was last read.
    private var openRuns: [String] = []

    init(client: ZooKeeperClient, board: DashboardBoard, key: DashboardBoard.Key) {
        (self.client, self.board, self.key) = (client, board, key)
    }

    /// The number of participants of a queue that are read.
    static let participants = 50

    private var path: String { key.path }

    /// Reads the recipe now and after each change, until the task is cancelled.
    ///
    /// Between two reads, it pauses for at least four times the duration of a read, so that large recipes cost the
    /// servers no more than small ones. Without a change, it reads again after a longer time, because not every znode
    /// is watched.
    mutating func run() async {
        let watches = RecipeWatches(client: client)
        while !Task.isCancelled {
            let began = client.clock.now
            var isChanged = false
            do {
                isChanged = try await read(watches)
            } catch let error as ZooKeeperError where error.isTransient {
                // The last values are kept, and the state of the connection is shown.
                _ = try? await client.waitUntilConnected()
            } catch is CancellationError {
                return
            } catch {
                board.set(UnreadableForm(kind: key.kind, problem: ZKRecipes.explanation(of: error)), for: key)
            }
            let duration = client.clock.now - began
            let pause = max(.milliseconds(200), duration * 4)
            try? await client.clock.sleep(until: client.clock.now + pause)
            await watches.wait(until: client.clock.now + longestPause(duration, isChanged))
        }
    }

    /// The time after which the recipe is read again without an event.
    private func longestPause(_ duration: Duration, _ isChanged: Bool) -> Duration {
        // The owners of partitions are not watched one by one. They move one after the other.
        if key.kind == .partitionGroup { return isChanged ? .seconds(1) : max(.seconds(5), duration * 20) }
        return max(.seconds(10), duration * 20)
    }

    /// Watches and reads the recipe.
    ///
    /// - Returns: Whether its values have changed.
    private mutating func read(_ watches: RecipeWatches) async throws -> Bool {
        switch key.kind {
        case .exclusiveMode: try await readExclusiveMode(watches)
        case .partitionGroup: try await readPartitions(watches)
        case .scheduledTask: try await readSchedule(watches)
        default: try await readQueue(watches)
        }
    }

    private mutating func readExclusiveMode(_ watches: RecipeWatches) async throws -> Bool {
        let mode = try ExclusiveMode(client: client, path: path)
        try await renew(watches) { try await $0.watch(mode) }
        let report = StatusReport(base: path, status: try await mode.status())
        return board.set(processors.form(of: report, at: .now), for: key)
    }

    private func readQueue(_ watches: RecipeWatches) async throws -> Bool {
        let (path, kind) = (path, key.kind)
        let names = try await renew(watches) { watches in
            let names = try await watches.children(of: path)
            switch kind {
            case .semaphore:
                for part in ["leases", "locks"] {
                    _ = try await watches.children(of: ZNodePath.child(part, of: path))
                }
                try await watches.watch([path + "-limit"])
            case .leaderElection, .leaderLatch: try await watches.watch([path + "-epoch"])
            case .doubleBarrier, .group: return names
            default: break
            }
            _ = try await watches.children(of: ContenderRequest.directory(ofQueue: path))
            return names
        }
        let reader = StatusReader(client: client, limit: Self.participants)
        let all = if let names { names } else { try await client.listing(of: path).names }
        return board.set(try await reader.status(at: path, kind: kind, names: all).form, for: key)
    }

    private mutating func readPartitions(_ watches: RecipeWatches) async throws -> Bool {
        let path = path
        try await renew(watches) { watches in
            let members = ZNodePath.child("members", of: path)
            let names = try await watches.children(of: members)
            // A node writes its member znode when it cordons itself.
            try await watches.watch(names.map { ZNodePath.child($0, of: members) })
            for part in ["cordons", "partitions"] {
                _ = try await watches.children(of: ZNodePath.child(part, of: path))
            }
        }
        let status = try await PartitionGroup.status(client: client, path: path)
        moves.record(status.partitions, at: .now)
        return board.set(PartitionForm(PartitionReport(status), moves: moves.moves), for: key)
    }

    private mutating func readSchedule(_ watches: RecipeWatches) async throws -> Bool {
        let path = path
        while true {
            let known = openRuns
            try await renew(watches) { watches in
                for part in ["runs", "leader"] { _ = try await watches.children(of: ZNodePath.child(part, of: path)) }
                let runs = ZNodePath.child("runs", of: path)
                try await watches.watch(
                    [ZNodePath.child("control", of: path)] + known.map { ZNodePath.child($0, of: runs) })
            }
            let history = try ScheduledTaskHistory(client: client, path: path)
            var report = ScheduleReport(runs: try await history.runs(), nodes: try await history.nodes().map(\.id))
            do {
                report.commands = try await ScheduledTaskControl(client: client, path: path, id: "").commands()
            } catch let error as RecipeError where error.code == .notFound {
                // No node has led the task yet.
            }
            openRuns = report.runs.filter(\.state.isOpen).map(\.period)
            // The record of a new run is watched, then read once more.
            guard Set(openRuns).isSubset(of: known) else { continue }
            return board.set(report.form(at: .now), for: key)
        }
    }

    /// Watches znodes, as far as there is room for watches and permission to read.
    ///
    /// - Returns: `nil` if not all of them are watched.
    @discardableResult
    private func renew<Result>(
        _ watches: RecipeWatches, _ round: (RecipeWatches) async throws -> Result
    ) async throws -> Result? {
        do {
            return try await watches.renew { try await round(watches) }
        } catch let error as ZooKeeperError where error.isWatchRefusal || error.code == .noAuth {
            return nil
        }
    }
}
