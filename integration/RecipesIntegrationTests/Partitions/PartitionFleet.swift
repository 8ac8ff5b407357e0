import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator
import ZooKeeperTestKit

/// The processes that are nodes of one group, in all their lives, and what their workers wrote down.
final class PartitionFleet {
    struct Settings {
        /// A server, or all of an ensemble's.
        var connectionString: String
        var path = PartitionScene.path
        /// The options that say which partitions there are.
        var source: [String]
        var sessionTimeout = 3
        var absenceTimeout = 60
    }

    let settings: Settings
    private(set) var lives: [(name: String, process: TestProcess)] = []
    private let crashes = History<PartitionAction>()

    init(_ settings: Settings) {
        self.settings = settings
    }

    /// Starts a node in a process of its own.
    @discardableResult
    func start(_ node: String) throws -> TestProcess {
        let process = try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes"),
            arguments: ["partitions", "run", settings.path, "--id", node] + settings.source + [
                "--act-every", "0.005", "--rebalance-delay", "0", "--absence-timeout", "\(settings.absenceTimeout)",
                "--session-timeout", "\(settings.sessionTimeout)", "--connect", settings.connectionString,
            ])
        lives.append((node, process))
        return process
    }

    /// The process that is this node now.
    func process(of node: String) throws -> TestProcess {
        try #require(lives.last { $0.name == node && $0.process.exitStatus == nil }).process
    }

    /// Waits until a node's process has printed what it does with a partition.
    func acts(_ node: String) async throws {
        try await process(of: node).line { Self.entry($0, of: node) != nil }
    }

    /// Kills a node's process.
    func crash(_ node: String) async throws {
        let process = try process(of: node)
        await process.kill()
        guard let life = lives.firstIndex(where: { $0.process === process }) else { return }
        crashes.record(.crashed(node: "\(life)"), by: "test", at: SystemMonotonicClock().now)
    }

    /// Has a node leave in order.
    func end(_ node: String) async throws {
        let process = try process(of: node)
        try process.terminate()
        #expect(try await process.waitForExit() == .exited(0))
    }

    /// Has all nodes leave, and gives what all of them printed: each line was written before its process did anything else.
    func finish() async throws -> [HistoryEntry<PartitionAction>] {
        for life in lives where life.process.exitStatus == nil { try await end(life.name) }
        var entries = crashes.entries
        for (life, run) in lives.enumerated() {
            entries += try await run.process.output().compactMap { Self.entry($0, of: "\(life)") }
        }
        Self.tellGaps(in: entries)
        return entries
    }

    private static func entry(_ line: String, of process: String) -> HistoryEntry<PartitionAction>? {
        let words = line.split(separator: " ").map(String.init)
        guard words.count >= 4, let token = Int64(words[2]), let time = Int64(words[words.count - 1]) else {
            return nil
        }
        let action: PartitionAction
        switch words[0] {
        case "began": action = .began(partition: words[1], token: token)
        case "ended": action = .ended(partition: words[1], token: token)
        default: action = .acted(partition: words[1], token: token, isValid: words[3] == "valid")
        }
        return HistoryEntry(time: MonotonicInstant(nanoseconds: time), process: process, action: action)
    }

    /// Prints for how long a partition was nobody's, at the most: figures for the record, which nothing depends on.
    private static func tellGaps(in history: [HistoryEntry<PartitionAction>]) {
        var owners: [String: String] = [:]
        var gone: [String: (time: MonotonicInstant, isCrash: Bool)] = [:]
        var (afterCrash, afterEnd) = (Duration.zero, Duration.zero)
        for entry in history.sorted(by: { $0.time < $1.time }) {
            switch entry.action {
            case .began(let partition, _):
                owners[partition] = entry.process
                guard let last = gone.removeValue(forKey: partition) else { continue }
                let gap = entry.time - last.time
                if last.isCrash { afterCrash = max(afterCrash, gap) } else { afterEnd = max(afterEnd, gap) }
            case .ended(let partition, _) where owners[partition] == entry.process:
                owners[partition] = nil
                gone[partition] = (entry.time, false)
            case .crashed(let node):
                for (partition, owner) in owners where owner == node {
                    owners[partition] = nil
                    gone[partition] = (entry.time, true)
                }
            default: continue
            }
        }
        print("partitions were active again within \(afterCrash) of a kill, \(afterEnd) of an end in order")
    }
}

extension ZooKeeperClient {
    /// Waits until the ensemble says that each partition is owned by whom the plan wants, of these nodes.
    func settled(_ partitions: [Partition], on nodes: [String], at path: String = PartitionScene.path) async throws {
        let plan = PartitionPlan(partitions: partitions, nodes: nodes.map { PartitionNode($0) })
        for place in plan.placements {
            let queue = "\(path)/partitions/\(place.partition)"
            for try await leader in LeaderSelector.leaderChanges(client: self, path: queue) {
                guard leader?.id == place.owner else { continue }
                let status = try await PartitionGroup.status(
                    client: self, path: path, partitions: .list([place.partition]))
                if status.partitions[0].owner == place.owner { break }
            }
        }
    }
}
