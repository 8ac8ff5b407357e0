import Logging
import ServiceLifecycle
import UnixSignals
import ZooKeeper
import ZooKeeperRecipes

/// Works on shards: each is active on one node, and returns to its preferred node when that node comes back.
///
///     swift run PartitionWorkers 127.0.0.1:2181 alice
@main
struct PartitionWorkers {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { return print("usage: PartitionWorkers HOST:PORT NAME") }
        let name = arguments[2]
        let client = try ZooKeeperClient(
            configuration: .init(connectionString: arguments[1], sessionTimeout: .seconds(4)))
        // The same on every node. The hash of a shard without a preferred node decides about its node.
        let shards: [Partition] = [
            Partition("north", preferred: ["alice", "bob"]), Partition("south", preferred: ["bob", "alice"]),
            "east", "west",
        ]
        var configuration = PartitionGroup.Configuration()
        // A node requests its shards after this time. With a longer time, nodes that come and go cause fewer moves.
        configuration.rebalanceDelay = .seconds(1)
        let group = try PartitionGroup(
            client: client, path: "/examples/shards", node: PartitionNode(name), partitions: .list(shards),
            configuration: configuration,
            warmUp: { shard in print("\(name): warms up for \(shard)") },  // while the owner still works
            worker: { shard, term in
                print("\(name): begins \(shard), token \(term.fencingToken)")
                // The worker is cancelled when the shard moves, and awaited before the next owner starts.
                defer { print("\(name): has ended \(shard)") }
                while true {
                    try await Task.sleep(for: .milliseconds(100))
                    // After a freeze, the process resumes before it is notified: check right before each step.
                    guard term.isValid else { return }
                    // The store of the results refuses a token lower than the shard's highest.
                    print("\(name): works on \(shard), token \(term.fencingToken)")
                }
            })
        let services = ServiceGroup(
            services: [client, group], gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "shards"))
        try await services.run()
    }
}
