import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// The command that runs for each partition that a node owns.
struct PartitionCommand: Sendable {
    var words: [String]
    var grace: Duration
    /// The delay before the command is started again for the first time.
    var restartDelay: Duration
    var path: String
    /// The ID of the node.
    var id: String

    /// Runs the command while the node owns a partition, again and again.
    ///
    /// - Throws: `CancellationError` or ``DeadlineReached`` when the node has lost the partition and the command has
    ///   ended.
    func run(for partition: Partition, in term: Term, of client: ZooKeeperClient) async throws {
        let variables = [
            "ZK_PARTITION": partition.id, "ZK_PARTITION_GROUP": path, "ZK_NODE_ID": id, "ZK_TERM": String(term.number),
            "ZK_SESSION_ID": client.state.session?.id.description,
        ]
        let clock = SystemMonotonicClock()
        let held = HeldCommand(words: words, grace: grace)
        var delays = RestartDelays(first: restartDelay)
        Output.notice("partition \(partition): gained, with token \(term.fencingToken)")
        defer { Output.notice("partition \(partition): released") }
        while true {
            let start = clock.now
            let end: any Error
            do {
                try await held.run(under: term, variables: variables)
                end = CommandEnding.exited(0)
            } catch  where error is CancellationError || error is DeadlineReached {
                throw error
            } catch {
                end = error
            }
            let delay = delays.next(after: clock.now - start)
            Output.report("partition \(partition): \(end); it is started again after \(DurationArgument(delay))")
            try await Task.sleep(for: delay)
            // The task is cancelled a moment after the loss.
            guard term.isValid else { throw CancellationError() }
        }
    }
}

/// The growing delays before a command that ends repeatedly is started again.
struct RestartDelays: Sendable {
    /// The time after which a command counts as stable.
    static let stableAfter = Duration.seconds(10)
    /// The longest delay, unless the first one is longer.
    static let longest = Duration.seconds(60)

    private let first: Duration
    private var following: Duration

    init(first: Duration) {
        self.first = first
        following = first
    }

    /// Returns the delay before the next start.
    ///
    /// - Parameter duration: The time for which the command has run.
    mutating func next(after duration: Duration) -> Duration {
        if duration >= Self.stableAfter { following = first }
        defer { following = max(first, min(following * 2, Self.longest)) }
        return following
    }
}
