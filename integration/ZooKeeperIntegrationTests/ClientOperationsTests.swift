import Logging
import Testing
import ZooKeeper
import ZooKeeperTestKit

@Suite(.timeLimit(.minutes(2)))
struct ClientOperationsTests {
    private func withClient(
        _ operation: (ZooKeeperClient) async throws -> Void
    ) async throws {
        try await withTestServer { server in
            let configuration = try ZooKeeperClientConfiguration(
                connectionString: server.connectionString, sessionTimeout: .seconds(4))
            try await withZooKeeperClient(configuration: configuration, operation: operation)
        }
    }

    @Test func `a znode is created, read, written and deleted`() async throws {
        try await withClient { client in
            let created = try await client.create("/a", data: [1, 2])
            #expect(created.path == "/a")
            #expect(created.stat.dataLength == 2)
            let read = try await client.data(at: "/a")
            #expect(read.data == [1, 2])
            #expect(read.stat == created.stat)
            let written = try await client.setData([3], at: "/a", version: 0)
            #expect(written.dataVersion == 1)
            #expect(try await client.children(of: "/").names.contains("a"))
            try await client.delete("/a", version: 1)
            #expect(try await client.exists(at: "/a") == nil)
        }
    }

    @Test func `what is held is valid, and proved while it is held`() async throws {
        try await withClient { client in
            let session = try await client.liveSession()
            let node = try await session.send(.create(path: "/own", data: [], mode: .ephemeral)).created
            let hold = session.hold(node.path, czxid: node.stat.czxid)
            #expect(hold.isValid)
            try await client.delete("/own")
            #expect(try await hold.waitForLoss() == .znodeDeleted)
            #expect(!hold.isValid)
        }
    }
}
