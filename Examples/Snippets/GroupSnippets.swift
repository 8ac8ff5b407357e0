import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes

/// Sends requests to the members that serve them.
struct Balancer {
    func use(_ addresses: [[UInt8]?]) {}
    func rebuild(_ ids: [String]) {}
}

func apply(_ change: CacheChange) {}
func compute() async throws {}

func childrenCache(client: ZooKeeperClient, balancer: Balancer) async throws {
    try await withChildrenCache(client: client, path: "/service/instances") { cache in
        for await entry in cache.changes {
            if let instances = entry.snapshot { balancer.use(instances.map(\.data)) }
        }
    }
}

func treeCache(client: ZooKeeperClient) async throws {
    try await withTreeCache(client: client, path: "/settings") { tree in
        for await update in tree.updates {
            for change in update.changes { apply(change) }
        }
    }
}

func persistentNode(client: ZooKeeperClient, address: [UInt8], logger: Logger) async throws {
    let node = try PersistentNode(client: client, path: "/service/instances/web1", data: address)
    try await ServiceGroup(services: [client, node], logger: logger).run()
}

func groupMembership(client: ZooKeeperClient, address: [UInt8], balancer: Balancer) async throws {
    let membership = try GroupMembership(client: client, path: "/service/members", id: "web1", data: address)
    async let run: Void = membership.run()
    for await members in membership.changes where members.isLive {
        balancer.rebuild(members.map(\.id))
    }
    try await run
}

func barrier(client: ZooKeeperClient) async throws {
    let barrier = try DistributedBarrier(client: client, path: "/service/maintenance")
    try await barrier.wait()  // in every worker, before it starts
}

func doubleBarrier(client: ZooKeeperClient) async throws {
    let barrier = try DistributedDoubleBarrier(client: client, path: "/jobs/17/phase2", participantCount: 5)
    try await barrier.withBarrier(timeout: .seconds(60), leaveTimeout: .seconds(600)) {
        try await compute()
    }
}

func sharedValue(client: ZooKeeperClient) async throws {
    let limit = try SharedValue(client: client, path: "/service/limit", initial: [10])
    try await limit.update { $0.map { $0 &+ 1 } }
}

func sharedCounter(client: ZooKeeperClient) async throws -> Int64 {
    let orders = try SharedCount(client: client, path: "/counters/orders", format: .int64)
    let number = try await orders.add(1)
    return number
}
