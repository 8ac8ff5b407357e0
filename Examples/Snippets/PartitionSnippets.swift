import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes

// The code blocks of the page "Partitions" and of the types that it describes.

func somePartitions() -> [Partition] {
    let partitions: [Partition] = ["orders", Partition("billing", preferred: ["web3", "web4"])]
    return partitions
}

func partitionPlan() {
    let plan = PartitionPlan(partitions: ["a", "b", "c"], nodes: ["web1", PartitionNode("web2", weight: 2)])
    print(plan["a"]?.owner ?? "nobody", plan.explain("a") ?? "")
}

func cordon(client: ZooKeeperClient) async throws {
    try await PartitionGroup.cordon("web3", client: client, path: "/app/shards", reason: "a disk fails")
}

func events(of partition: String) -> AsyncStream<Event> { AsyncStream { $0.finish() } }

func partitionGroup(client: ZooKeeperClient, store: Store, logger: Logger) async throws {
    let shards = (0..<64).map { Partition("shard-\($0)") }
    let group = try PartitionGroup(
        client: client, path: "/app/shards", node: "web1", partitions: .list(shards)
    ) { partition, term in
        for await event in events(of: partition.id) { try store.write(event, token: term.fencingToken) }
    }
    // In a ServiceGroup the group comes after its client.
    try await ServiceGroup(services: [client, group], logger: logger).run()
}
