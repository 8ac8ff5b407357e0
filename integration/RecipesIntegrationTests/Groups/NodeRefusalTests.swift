import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// What the ensemble refuses is reported and thrown, and costs neither connections nor patience.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct NodeRefusalTests {
    private static let path = "/app/nodes/one"
    private static let large = [UInt8](repeating: 7, count: 100_000)

    /// A server that takes packets of 8 KiB.
    private static var narrowServer: TestServerConfiguration {
        var configuration = TestServerConfiguration()
        configuration.systemProperties["jute.maxbuffer"] = "8192"
        return configuration
    }

    @Test func `data over the server's limit is refused after three lost connections, other data is written at once`()
        async throws
    {
        try await LockScene.with(configuration: Self.narrowServer) { scene in
            let node = try PersistentNode(client: scene.client, path: Self.path, data: Self.large)
            _ = try await scene.client.exists(at: "/")
            _ = try await scene.requests()
            let task = Task { try await node.run() }
            let error = await #expect(throws: ZooKeeperError.self) { try await node.waitUntilExists() }
            #expect(error?.code == .dataTooLarge)
            #expect(node.state == .refused(try #require(error)))
            // Connections may also be lost for other reasons.
            #expect(try await scene.requests().count { $0 == .createWithStat } == 3)
            try await node.write([1])
            #expect(try await scene.other.data(at: Self.path).data == [1])

            // A znode that exists keeps its data while other data is refused.
            let refusal = await #expect(throws: ZooKeeperError.self) { try await node.write(Self.large) }
            #expect(refusal?.code == .dataTooLarge)
            #expect(try await scene.other.data(at: Self.path).data == [1])
            try await node.write([2])
            task.cancel()
            try await task.value
            #expect(try await scene.other.exists(at: Self.path) == nil)
        }
    }

    @Test func `every form of taking part throws what the server's limit refuses`() async throws {
        try await LockScene.with(configuration: Self.narrowServer) { scene in
            await #expect(throws: ZooKeeperError.self) {
                try await withPersistentNode(client: scene.client, path: Self.path, data: Self.large) { _ in }
            }
            let membership = try GroupMembership(
                client: scene.client, path: "/app/members", id: "one", data: Self.large)
            let run = Task { try await membership.run() }
            await #expect(throws: ZooKeeperError.self) { try await membership.waitUntilJoined() }
            try await membership.write([1])
            run.cancel()
            try await run.value
            let barrier = try DistributedBarrier(client: scene.client, path: "/app/barrier")
            let error = await #expect(throws: ZooKeeperError.self) { try await barrier.set(data: Self.large) }
            #expect(error?.code == .dataTooLarge)
            #expect(try await barrier.set())
        }
    }

    @Test func `data that may not be written is reported to its writer and in the state`() async throws {
        try await LockScene.with { scene in
            let acl = ACL(permissions: [.read, .create, .delete, .admin], scheme: "world", id: "anyone")
            let node = try PersistentNode(client: scene.client, path: Self.path, data: [1], acl: [acl])
            let task = Task { try await node.run() }
            try await node.waitUntilExists()
            let error = await #expect(throws: ZooKeeperError.self) { try await node.write([2]) }
            #expect(error?.code == .noAuth)
            #expect(node.state == .refused(try #require(error)))
            // It is asked again, and each refusal is reported.
            await #expect(throws: ZooKeeperError.self) { try await node.waitUntilExists() }
            node.setData([1])
            await node.state { $0.isPresent }
            node.setData([2])
            await node.state { if case .refused = $0 { true } else { false } }
            try await scene.other.setACL([.openUnsafe], at: Self.path)
            await node.state { $0.isPresent && $0.znode?.data == [2] }
            task.cancel()
            try await task.value
        }
    }

    @Test func `data over the client's own limit costs no connection`() async throws {
        try await LockScene.with { scene in
            let huge = [UInt8](repeating: 7, count: 2_000_000)
            _ = try await scene.client.exists(at: "/")
            let before = scene.proxy.counters.connections
            let error = await #expect(throws: ZooKeeperError.self) {
                try await withPersistentNode(client: scene.client, path: Self.path, data: huge) { _ in }
            }
            #expect(error?.code == .dataTooLarge)
            try await withPersistentNode(client: scene.client, path: Self.path, data: [1]) { node in
                await #expect(throws: ZooKeeperError.self) { try await node.write(huge) }
                try await node.write([2])
            }
            #expect(scene.proxy.counters.connections == before)
        }
    }

    /// Places where no znode can be created, however long it is tried.
    enum Place: String, CaseIterable, Sendable {
        case missingChroot, ephemeralParent, closedParent

        var code: ZooKeeperError.Code {
            switch self {
            case .missingChroot: .noNode
            case .ephemeralParent: .noChildrenForEphemerals
            case .closedParent: .noAuth
            }
        }
    }

    private func with(
        _ place: Place, _ body: @escaping @Sendable (_ client: ZooKeeperClient, _ parent: String) async throws -> Void
    ) async throws {
        try await LockScene.with { scene in
            switch place {
            case .missingChroot:
                let configuration = try ZooKeeperClientConfiguration(
                    connectionString: scene.server.connectionString + "/missing")
                try await withZooKeeperClient(configuration: configuration) { try await body($0, "/app") }
            case .ephemeralParent:
                try await scene.other.create("/short", mode: .ephemeral)
                try await body(scene.client, "/short")
            case .closedParent:
                let closed = ACL(permissions: [.read, .admin], scheme: "world", id: "anyone")
                try await scene.other.create("/closed", acl: [closed])
                try await body(scene.client, "/closed")
            }
        }
    }

    @Test(arguments: Place.allCases)
    func `nothing waits where no znode can be created`(place: Place) async throws {
        try await with(place) { client, parent in
            func refusal(_ operation: () async throws -> Void) async {
                let error = await #expect(throws: ZooKeeperError.self) { try await operation() }
                #expect(error?.code == place.code)
            }
            await refusal { try await withPersistentNode(client: client, path: "\(parent)/one") { _ in } }
            let membership = try GroupMembership(client: client, path: parent, id: "one")
            let run = Task { try await membership.run() }
            await refusal { try await membership.waitUntilJoined() }
            run.cancel()
            try await run.value
            let barrier = try DistributedDoubleBarrier(client: client, path: parent, participantCount: 1)
            await refusal { try await barrier.withBarrier { _ = Issue.record("passed") } }
            await refusal { try await barrier.withBarrier(timeout: .seconds(60)) {} }
            let gate = try DistributedBarrier(client: client, path: "\(parent)/gate")
            await refusal { try await gate.set() }
        }
    }

    /// Keeps a znode while it winds down.
    private struct Keeper: Service {
        let client: ZooKeeperClient
        let isReady = OneShot<Void>()
        let hasStood = OneShot<Bool>()

        func run() async throws {
            let (client, isReady, hasStood) = (client, isReady, hasStood)
            try await withPersistentNode(client: client, path: NodeRefusalTests.path) { node in
                isReady.set(())
                try? await gracefulShutdown()
                // Whatever reacts to the shutdown has had its turn.
                let stat = await Task { try? await client.exists(at: NodeRefusalTests.path) }.value
                hasStood.set(stat != nil && node.state.isPresent)
            }
        }
    }

    @Test(arguments: [false, true])
    func `a shutdown or a cancellation around it deletes the znode after the operation, not before`(isCancelled: Bool)
        async throws
    {
        try await LockScene.with { scene in
            let keeper = Keeper(client: scene.client)
            let group = ServiceGroup(
                configuration: .init(services: [.init(service: keeper)], logger: .init(label: "test")))
            let run = Task { try await group.run() }
            try await keeper.isReady.wait()
            if isCancelled { run.cancel() } else { await group.triggerGracefulShutdown() }
            #expect(try await keeper.hasStood.wait())
            _ = await run.result
            #expect(try await scene.other.exists(at: Self.path) == nil)
        }
    }
}
