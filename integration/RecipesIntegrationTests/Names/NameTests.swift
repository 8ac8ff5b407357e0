import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Names that are equal strings in Swift and two znodes on a server, and names that no server takes.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct NameTests {
    private static let composed = "caf\u{e9}"
    private static let decomposed = "cafe\u{301}"
    private static let both = [composed, decomposed]

    private static func withClients(_ body: (ZooKeeperClient, ZooKeeperClient) async throws -> Void) async throws {
        try await withSceneServer { server in
            let configuration = try ZooKeeperClientConfiguration(connectionString: server.connectionString)
            try await withZooKeeperClient(configuration: configuration) { one in
                try await withZooKeeperClient(configuration: configuration) { other in
                    try await body(one, other)
                }
            }
        }
    }

    // MARK: Locks

    @Test func `a read lock is held at the path that was asked for, and keeps a writer out there`() async throws {
        try await Self.withClients { one, other in
            let locks = try Self.both.map { try DistributedReadWriteLock(client: one, path: "/locks/\($0)") }
            try await locks[0].withReadLock { _ in
                try await locks[1].withReadLock { lease in
                    #expect(lease.path.hasBytes(of: "/locks/\(Self.decomposed)"))
                    for path in Self.both {
                        let writer = try DistributedReadWriteLock(client: other, path: "/locks/\(path)")
                        let error = await #expect(throws: RecipeError.self) {
                            try await writer.tryWithWriteLock { _ in }
                        }
                        #expect(error?.code == .notAvailable)
                    }
                }
            }
        }
    }

    @Test func `a task that holds one of two mutexes may take the other`() async throws {
        try await Self.withClients { one, _ in
            let mutexes = try Self.both.map { try DistributedMutex(client: one, path: "/locks/\($0)") }
            try await mutexes[0].withLock { _ in
                try await mutexes[1].withLock { lease in #expect(lease.isValid) }
            }
            let error = await #expect(throws: RecipeError.self) {
                try await mutexes[0].withLock { _ in try await mutexes[0].withLock { _ in } }
            }
            #expect(error?.code == .alreadyHeld)
        }
    }

    @Test func `both locks are taken together, and each has an outcome at the end`() async throws {
        try await Self.withClients { one, other in
            let locks = try Self.both.map { try DistributedReadWriteLock(client: one, path: "/locks/\($0)") }
            let lease = try await MultiLock([.read(locks[0]), .write(locks[1])]).acquire()
            for path in Self.both {
                let token = lease.fencingToken(at: "/locks/\(path)")
                let queue = try await DistributedReadWriteLock(client: other, path: "/locks/\(path)").queue()
                #expect(token != nil && queue.map(\.token) == [token])
            }
            let outcomes = await lease.release()
            #expect(outcomes.count == 2)
            for path in Self.both { #expect(outcomes["/locks/\(path)"] == .deleted) }
        }
    }

    @Test func `semaphores of both names have limits of their own`() async throws {
        try await Self.withClients { one, other in
            for (limit, path) in Self.both.enumerated() {
                let semaphore = try DistributedSemaphore(client: one, path: "/limits/\(path)", limit: limit + 1)
                let lease = try await semaphore.acquire()
                let far = try DistributedSemaphore(client: other, path: "/limits/\(path)", limit: 9)
                #expect(try await far.limit() == limit + 1)
                await lease.release()
            }
        }
    }

    // MARK: Groups, caches, elections

    @Test func `members of both ids are two members`() async throws {
        try await Self.withClients { one, other in
            let members = [
                try GroupMembership(client: one, path: "/group", id: Self.composed, data: [0]),
                try GroupMembership(client: other, path: "/group", id: Self.decomposed, data: [1]),
            ]
            await withDiscardingTaskGroup { tasks in
                for member in members { tasks.addTask { try? await member.run() } }
                for await group in members[0].changes where group.count == 2 {
                    for (index, id) in Self.both.enumerated() {
                        #expect(group[id]?.data == [UInt8(index)])
                        #expect(group[id]?.isSelf == (index == 0))
                    }
                    break
                }
                tasks.cancelAll()
            }
        }
    }

    @Test func `caches hold both children, and those whose names begin with a combining mark`() async throws {
        try await Self.withClients { one, other in
            let names = Self.both + ["\u{301}b", "\u{212a}", "K"]
            try await withChildrenCache(client: one, path: "/cached") { children in
                try await withTreeCache(client: one, path: "/cached") { tree in
                    for (index, name) in names.enumerated() {
                        try await other.create("/cached/\(name)", data: [UInt8(index)], parents: true)
                        try await other.create("/cached/\(name)/\u{301}leaf", data: [UInt8(index)])
                    }
                    for await entry in children.changes where entry.isLive && entry.snapshot?.count == names.count {
                        for (index, name) in names.enumerated() {
                            #expect(entry.snapshot?[name]?.data == [UInt8(index)])
                        }
                        break
                    }
                    for await entry in tree.changes where entry.isLive && entry.snapshot?.count == 1 + 2 * names.count {
                        for (index, name) in names.enumerated() {
                            #expect(entry.snapshot?["\(name)/\u{301}leaf"]?.data == [UInt8(index)])
                        }
                        break
                    }
                    // The watch of one of the two is not the other's.
                    try await other.setData([9], at: "/cached/\(Self.decomposed)")
                    for await entry in children.changes where entry.snapshot?[Self.decomposed]?.data == [9] {
                        #expect(entry.snapshot?[Self.composed]?.data == [0])
                        break
                    }
                }
            }
        }
    }

    @Test func `a leader hands over to the participant whose id has the same bytes`() async throws {
        try await Self.withClients { one, other in
            let leads = Broadcast("")
            let selectors = try (["first"] + Self.both).enumerated().map { index, id in
                try LeaderSelector(client: index == 2 ? other : one, path: "/leader", id: id) { _ in
                    leads.send(id)
                    try await OneShot<Void>().wait()
                }
            }
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for (count, selector) in selectors.enumerated() {
                    tasks.addTask { try await selector.run() }
                    while try await selectors[0].participants().count <= count { await Task.yield() }
                }
                for await id in leads.follow() where id == "first" { break }
                try await selectors[0].resign(to: Self.decomposed)
                for await id in leads.follow() where id != "first" {
                    #expect(id.hasBytes(of: Self.decomposed))
                    break
                }
                tasks.cancelAll()
            }
        }
    }

    // MARK: Partitions

    @Test func `partitions and nodes of both ids are shared out as four`() async throws {
        try await PartitionScene.with { scene in
            let partitions = Self.both.map { Partition($0, preferred: [$0]) }
            let nodes = try Self.both.map { try scene.node(PartitionNode($0), .list(partitions)) }
            for (node, id) in zip(nodes, Self.both) {
                await node.state { $0.isSettled && $0.nodes.count == 2 && $0.owned.count == 1 }
                #expect(node.group.state.owned.first?.hasBytes(of: id) == true)
                #expect(node.group.term(of: id)?.isValid == true)
            }
            let status = try await scene.status()
            #expect(status.balance.count == 2)
            for id in Self.both {
                #expect(status.balance[id] == 1)
                let owner = status.partitions.first { $0.partition.hasBytes(of: id) }?.owner
                #expect(owner?.hasBytes(of: id) == true)
            }
            // A list with the other spelling alone is another list.
            try nodes[0].group.setPartitions([partitions[1]])
            await nodes[0].state { $0.owned.isEmpty }
            try await nodes.stop()
        }
    }

    @Test func `an id that no znode can have changes nothing in a group that runs, and it ends in order`() async throws
    {
        try await PartitionScene.with { scene in
            let node = try scene.node("web1", ["a", "b"])
            await node.state { $0.isSettled && $0.owned == ["a", "b"] }
            for id in ["c\u{1f600}", "", "..", "a/b", String(repeating: "a", count: 5000)] {
                let error = #expect(throws: RecipeError.self) { try node.group.setPartitions(["a", Partition(id)]) }
                #expect(error?.code == .invalidArgument && error?.message?.hasPrefix("partition id") == true)
            }
            try node.group.setPartitions(["a", "b", "c"])
            await node.state { $0.isSettled && $0.owned == ["a", "b", "c"] }
            try await node.stop()
        }
    }

    @Test func `a child that cannot be a partition is left out, and the others are shared out`() async throws {
        try await PartitionScene.with { scene in
            try await withZooKeeperClient(
                configuration: .init(connectionString: scene.server.connectionString)
            ) { client in
                for name in ["a", "b-epoch", String(repeating: "c", count: 5000)] {
                    try await client.create("/list/\(name)", parents: true)
                }
                let node = try scene.node("web1", .children(of: "/list"))
                await node.state { $0.isSettled && $0.owned == ["a"] }
                try await client.create("/list/d", parents: true)
                await node.state { $0.isSettled && $0.owned == ["a", "d"] }
                try await node.stop()
            }
        }
    }

    @Test func `the command refuses what cannot be before it does anything`() async throws {
        for arguments in [
            ["--partitions", "a,\u{1f600}", "--id", "web1"], ["--partitions", "a", "--id", "\u{1f600}"],
        ] {
            let process = try TestProcess(
                TestProcess.path(ofProduct: "zkrecipes"),
                arguments: ["partitions", "run", "/g", "--connect", "127.0.0.1:1"] + arguments)
            #expect(try await process.waitForExit() == .exited(64))
        }
    }
}
