import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes

// The blocks of the page "Partitions" and of the types that it is about.

func somePartitions() -> [Partition] {
    let partitions: [Partition] = ["orders", Partition("billing", preferred: ["web3", "web4"])]
    return partitions
}

func partitionPlan() {
    let plan = PartitionPlan(partitions: ["a", "b", "c"], nodes: ["web1", PartitionNode("web2", weight: 2)])
    print(plan["a"]?.owner ?? "nobody", plan.explain("a") ?? "")
}
