import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Recipes of a client whose znodes only its own identity may use, and a stranger that tries everything with them.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(5)))
struct IdentityTests {
    /// A recipe: takes part at a path, and runs a body while it does.
    struct Subject: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Whether the recipe is documented to log a missing permission and to try again.
        var triesAgain = false
        var takePart:
            @Sendable (ZooKeeperClient, String, @escaping @Sendable () async throws -> Void) async throws -> Void
    }

    private static func client(_ user: String) throws -> ZooKeeperClientConfiguration {
        var configuration = try ZooKeeperClientConfiguration(connectionString: TestServer.current.connectionString)
        configuration.auth = [.digest(user: user, password: "word of \(user)")]
        configuration.acl = [.creatorAll]
        return configuration
    }

    private static let subjects = [
        Subject(testDescription: "mutex") { client, path, body in
            try await DistributedMutex(client: client, path: path).withLock { _ in try await body() }
        },
        Subject(testDescription: "read-lock") { client, path, body in
            try await DistributedReadWriteLock(client: client, path: path).withReadLock { _ in try await body() }
        },
        Subject(testDescription: "write-lock") { client, path, body in
            try await DistributedReadWriteLock(client: client, path: path).withWriteLock { _ in try await body() }
        },
        Subject(testDescription: "semaphore") { client, path, body in
            try await DistributedSemaphore(client: client, path: path, limit: 2).withLease { _ in try await body() }
        },
        Subject(testDescription: "selector", triesAgain: true) { client, path, body in
            try await withLeadership(client: client, path: path, id: "a") { _ in try await body() }
        },
        Subject(testDescription: "latch", triesAgain: true) { client, path, body in
            try await withLeaderLatch(client: client, path: path, id: "a") { latch in
                _ = try await latch.waitUntilLeader()
                try await body()
            }
        },
        Subject(testDescription: "barrier") { client, path, body in
            let barrier = try DistributedBarrier(client: client, path: path)
            try #require(try await barrier.set())
            try await body()
        },
        Subject(testDescription: "double-barrier") { client, path, body in
            try await DistributedDoubleBarrier(client: client, path: path, participantCount: 1).withBarrier {
                try await body()
            }
        },
        Subject(testDescription: "shared-count") { client, path, body in
            _ = try await SharedCount(client: client, path: path, format: .int64).add(1)
            try await body()
        },
        Subject(testDescription: "fenced-node") { client, path, body in
            try await FencedNode(client: client, path: path).write([1], token: FencingToken(rawValue: 1))
            try await body()
        },
        Subject(testDescription: "group") { client, path, body in
            try await withGroupMembership(client: client, path: path, id: "member") { _ in try await body() }
        },
        Subject(testDescription: "gate") { client, path, body in
            try await ExclusiveMode(client: client, path: path).withGate(id: "processor") { gate in
                let permit = try await gate.enter()
                permit.leave()
                try await body()
            }
        },
        Subject(testDescription: "window") { client, path, body in
            try await ExclusiveMode(client: client, path: path).withWindow(reason: "test") { _ in try await body() }
        },
        Subject(testDescription: "hold") { client, path, body in
            let mode = try ExclusiveMode(client: client, path: path)
            try await mode.hold(reason: "test", id: "ada")
            // A window during the hold has a znode below the signal.
            try await mode.withWindow(reason: "test") { _ in try await body() }
            try await mode.removeHold("ada")
        },
        Subject(testDescription: "task", triesAgain: true) { client, path, body in
            let task = try ScheduledTask(
                client: client, path: path, id: "web1", name: "task", schedule: try .every(.seconds(3600)),
                delivery: .atLeastOnce
            ) { _ in }
            try await running(
                task,
                untilReady: {
                    for await state in task.states { if case .waiting = state { break } }
                }, body)
        },
        Subject(testDescription: "partitions", triesAgain: true) { client, path, body in
            let group = try PartitionGroup(
                client: client, path: path, node: PartitionNode("web1"), partitions: .list([Partition("hot")])
            ) { _, _ in try await Task.sleep(for: .seconds(3600)) }
            try await running(
                group, untilReady: { for await state in group.states where state.owned == ["hot"] { break } }, body)
        },
    ]

    /// Runs a service while a body runs, which starts when the service is ready.
    private static func running(
        _ service: some Service, untilReady ready: @escaping @Sendable () async -> Void,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await service.run() }
            group.addTask {
                await ready()
                try Task.checkCancellation()
                try await body()
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    @Test(arguments: subjects) func `what one identity creates another one cannot use`(_ subject: Subject) async throws
    {
        let path = "/app-\(subject.testDescription)/recipe"
        try await withZooKeeperClient(configuration: try Self.client("owner")) { owner in
            try await withZooKeeperClient(configuration: try Self.client("stranger")) { stranger in
                try await subject.takePart(owner, path) {
                    let before = try await Self.tree(below: "/app-\(subject.testDescription)", owner)
                    try await Self.attack(before, stranger)
                    await Self.enter(subject, stranger, path)
                    // Nothing has changed, but for a counter of the recipe itself.
                    let after = try await Self.tree(below: "/app-\(subject.testDescription)", owner)
                    #expect(Set(before).isSubset(of: after))
                }
            }
        }
    }

    @Test func `a transaction may be the first request of a client with credentials`() async throws {
        for number in 0..<20 {
            try await withZooKeeperClient(configuration: try Self.client("owner")) { owner in
                // The credentials are sent when the connection is established, and are not answered then.
                let results = try await owner.transaction([.create("/first-\(number)"), .delete("/first-\(number)")])
                #expect(results.count == 2)
            }
        }
    }

    @Test func `a client stops although it may no longer delete what it holds`() async throws {
        let clock = SystemMonotonicClock()
        let start = clock.now
        try await withZooKeeperClient(configuration: try Self.client("owner")) { owner in
            let mutex = try DistributedMutex(client: owner, path: "/revoked/mutex")
            let lease = try await mutex.acquire()
            let mode = try ExclusiveMode(client: owner, path: "/revoked/mode")
            try await mode.withGate(id: "processor") { gate in
                for await state in gate.states where state.isOpen { break }
                for path in ["/revoked/mutex", "/revoked/mode/locks", "/revoked/mode/members"] {
                    try await owner.setACL([ACL(permissions: [.read, .admin], scheme: "auth", id: "")], at: path)
                }
            }
            let outcome = await lease.release()
            #expect(outcome == .stillTrying)
        }
        #expect(clock.now - start < .seconds(10))
        // The znodes went with the session.
        try await withZooKeeperClient(configuration: try Self.client("owner")) { owner in
            for path in ["/revoked/mutex", "/revoked/mode/locks", "/revoked/mode/members"] {
                let names = try await owner.children(of: path).names
                #expect(names == [])
            }
        }
    }

    /// Returns the paths of a subtree whose znodes only the owner may use, with the root first.
    private static func tree(below root: String, _ owner: ZooKeeperClient) async throws -> [String] {
        let acl = try await owner.acl(at: root).acl
        #expect(acl.map(\.scheme) == ["digest"] && acl.allSatisfy { $0.id.hasPrefix("owner:") }, "\(root): \(acl)")
        var paths = [root]
        for child in try await owner.children(of: root).names {
            paths += try await tree(below: "\(root)/\(child)", owner)
        }
        return paths
    }

    /// Tries every request with every znode.
    private static func attack(_ paths: [String], _ stranger: ZooKeeperClient) async throws {
        for path in paths {
            let requests: [(String, () async throws -> Void)] = [
                ("read", { _ = try await stranger.data(at: path) }),
                ("list", { _ = try await stranger.children(of: path) }),
                ("write", { _ = try await stranger.setData([9], at: path) }),
                ("create", { _ = try await stranger.create(path + "/own") }),
                ("set ACL", { _ = try await stranger.setACL([.openUnsafe], at: path) }),
            ]
            for (name, request) in requests {
                await #expect("\(name) \(path)") {
                    try await request()
                } throws: { error in
                    let code = (error as? ZooKeeperError)?.code
                    // An ephemeral znode has no children, and a znode of the recipe may have gone meanwhile.
                    return code == .noAuth || code == .noNode || (name == "create" && code == .noChildrenForEphemerals)
                }
            }
            // The permission to delete a znode is that of its parent; the root is everybody's.
            if path != paths[0] {
                await #expect("delete \(path)") {
                    try await stranger.delete(path)
                } throws: { error in
                    [.noAuth, .noNode].contains((error as? ZooKeeperError)?.code)
                }
            }
        }
    }

    /// Tries to take part as a stranger.
    private static func enter(_ subject: Subject, _ stranger: ZooKeeperClient, _ path: String) async {
        let isOver = OneShot<Void>()
        let attempt = Task {
            defer { isOver.set(()) }
            try await subject.takePart(stranger, path) { Issue.record("a stranger has taken part") }
        }
        // One that tries again would have had several occasions by then.
        let limit = SystemMonotonicClock().now + (subject.triesAgain ? .seconds(2) : .seconds(20))
        let hasEnded: Void? = try? await SystemMonotonicClock().run(until: limit) { try await isOver.wait() }
        #expect((hasEnded != nil) == !subject.triesAgain, "the attempt ends unless the recipe tries again")
        attempt.cancel()
        await #expect(throws: (any Error).self) { try await attempt.value }
        if !subject.triesAgain, case .failure(let error) = await attempt.result {
            #expect((error as? ZooKeeperError)?.code == .noAuth, "\(error)")
        }
    }
}
