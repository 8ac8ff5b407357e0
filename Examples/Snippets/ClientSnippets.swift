import Logging
import ServiceLifecycle
import ZooKeeper

func operations() async throws {
    let configuration = try ZooKeeperClientConfiguration(connectionString: "zk1:2181,zk2:2181,zk3:2181/orders")
    try await withZooKeeperClient(configuration: configuration) { client in
        try await client.create("/settings", data: Array("{}".utf8))
        let (data, stat, watch) = try await client.watchData(at: "/settings")
        print("version \(stat.dataVersion): \(data.count) bytes")
        print(try await watch.event())
    }
}

func serviceGroup(worker: any Service, logger: Logger) async throws {
    let client = try ZooKeeperClient(configuration: .init(connectionString: "127.0.0.1:2181"))
    // In a ServiceGroup the client comes before everything that uses it.
    try await ServiceGroup(services: [client, worker], logger: logger).run()
}

func existingEnsemble(password: String) throws {
    var settings = try ZooKeeperClientConfiguration(
        connectionString: "zk1:2181,zk2:2181,zk3:2181/teams/orders", sessionTimeout: .seconds(10))
    settings.auth = [.digest(user: "orders", password: password)]
    settings.acl = [.creatorAll]
}

func ages(client: ZooKeeperClient) async throws {
    if let stat = try await client.exists(at: "/app/report") {
        print("written \(Timestamp.now - stat.mtime) ago, at \(stat.mtime)")
    }
}

func encrypted(configuration: inout ZooKeeperClientConfiguration) {
    configuration.tls = TLSConfiguration(
        certificateAuthority: "/etc/app/ca.pem", certificate: "/etc/app/client.pem", privateKey: "/etc/app/client.key")
}

func encryptedClient() throws -> ZooKeeperClient {
    var settings = try ZooKeeperClientConfiguration(connectionString: "zk1.example.com:2281,zk2.example.com:2281")
    settings.tls = TLSConfiguration(
        certificateAuthority: "/etc/app/zookeeper-ca.pem", certificate: "/etc/app/client.pem",
        privateKey: "/etc/app/client.key")
    let client = try ZooKeeperClient(configuration: settings)
    return client
}
