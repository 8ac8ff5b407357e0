import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

// The code blocks of the test kit's pages.

func expiredSession() async throws {
    try await withTestServer { server in
        let settings = try ZooKeeperClientConfiguration(
            connectionString: server.connectionString, sessionTimeout: .seconds(2))
        try await withZooKeeperClient(configuration: settings) { client in
            let mutex = try DistributedMutex(client: client, path: "/locks/invoices", id: "test")
            let lease = try await mutex.acquire()

            try await server.expireSession(of: client)

            let reason = try await lease.waitUntilLost()
            print(reason, lease.isValid)
            await lease.release()
        }
    }
}

func silentNetwork() async throws {
    try await withTestServer { server in
        let proxy = try FaultProxy(to: server)
        let settings = try ZooKeeperClientConfiguration(
            connectionString: proxy.connectionString, sessionTimeout: .seconds(2))
        try await withZooKeeperClient(configuration: settings) { client in
            let mutex = try DistributedMutex(client: client, path: "/locks/invoices", id: "test")
            let lease = try await mutex.acquire()

            await proxy.hold()
            let reason = try await lease.waitUntilLost()
            print(reason, lease.isValid)

            await proxy.release()
            await lease.release()
        }
    }
}
