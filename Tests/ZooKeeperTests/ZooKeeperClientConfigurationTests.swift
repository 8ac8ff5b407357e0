import Testing

@testable import ZooKeeper

@Suite
struct ZooKeeperClientConfigurationTests {
    typealias Change = @Sendable (inout ZooKeeperClientConfiguration) -> Void

    private static let server = ServerAddress(host: "localhost", port: 2181)

    @Test func `the defaults are right`() throws {
        try ZooKeeperClientConfiguration(servers: [Self.server]).validate()
        try ZooKeeperClientConfiguration(connectionString: "localhost:2181/app").validate()
    }

    @Test func `the limits themselves are right`() throws {
        var configuration = ZooKeeperClientConfiguration(servers: [Self.server])
        configuration.sessionTimeout = .milliseconds(100)
        configuration.validityMargin = 0
        configuration.maximumRequestsInFlight = 1
        configuration.maximumPacketSize = 1025
        configuration.retry = RetryPolicy(
            timeout: .nanoseconds(1), initialDelay: .nanoseconds(1), maximumDelay: .nanoseconds(1))
        try configuration.validate()
        configuration.sessionTimeout = .milliseconds(Int64(Int32.max / 2))
        configuration.validityMargin = 0.65
        configuration.maximumRequestsInFlight = 4096
        configuration.retry.timeout = .seconds(Int64.max)
        try configuration.validate()
    }

    private static let mistakes: [(String, Change)] = [
        ("servers is []", { $0.servers = [] }),
        ("servers[1] is \"b:0\"", { $0.servers = [server, ServerAddress(host: "b", port: 0)] }),
        ("servers[0] is \"b:70000\"", { $0.servers = [ServerAddress(host: "b", port: 70_000)] }),
        ("servers[0] is \":1\"; it has no host", { $0.servers = [ServerAddress(host: "", port: 1)] }),
        ("it has the host \"[::1]\"", { $0.servers = [ServerAddress(host: "[::1]", port: 1)] }),
        ("it has the host \"a:b\"", { $0.servers = [ServerAddress(host: "a:b", port: 1)] }),
        ("sessionTimeout is 0.0 seconds", { $0.sessionTimeout = .zero }),
        ("sessionTimeout is -1.0 seconds", { $0.sessionTimeout = .seconds(-1) }),
        ("sessionTimeout is 0.0999 seconds", { $0.sessionTimeout = .microseconds(99_900) }),
        ("sessionTimeout is 1073741.824 seconds", { $0.sessionTimeout = .milliseconds(Int64(Int32.max / 2) + 1) }),
        ("sessionTimeout is", { $0.sessionTimeout = .seconds(Int64.max) }),
        ("validityMargin is 1.0", { $0.validityMargin = 1 }),
        ("validityMargin is 0.7", { $0.validityMargin = 0.7 }),
        ("handleReleaseTimeout is -1.0 seconds", { $0.handleReleaseTimeout = .seconds(-1) }),
        ("validityMargin is -0.01", { $0.validityMargin = -0.01 }),
        ("validityMargin is nan", { $0.validityMargin = .nan }),
        ("retry.timeout is 0.0 seconds", { $0.retry.timeout = .zero }),
        ("retry.initialDelay is 0.0 seconds", { $0.retry.initialDelay = .zero }),
        ("retry.maximumDelay is 0.01 seconds", { $0.retry.maximumDelay = .milliseconds(10) }),
        ("maximumRequestsInFlight is 0", { $0.maximumRequestsInFlight = 0 }),
        ("maximumRequestsInFlight is 4097", { $0.maximumRequestsInFlight = 4097 }),
        ("maximumPacketSize is 1024", { $0.maximumPacketSize = 1024 }),
        ("maximumPacketSize is 2147483648", { $0.maximumPacketSize = 1 << 31 }),
        ("acl is []", { $0.acl = [] }),
        ("acl[0] is scheme \"\"", { $0.acl = [ACL(permissions: .all, scheme: "", id: "")] }),
        ("auth[0].scheme is \"\"", { $0.auth = [AuthCredential(scheme: "", credential: [1])] }),
    ]

    @Test(arguments: mistakes)
    func `a setting that cannot be is named with its value and what would be right`(text: String, change: Change) {
        var configuration = ZooKeeperClientConfiguration(servers: [Self.server])
        change(&configuration)
        let error = zooKeeperError { try configuration.validate() }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message?.contains(text) == true, "\(error?.message ?? "")")
        #expect(error?.message?.contains("; it must be ") == true)
    }

    @Test func `errors do not show credentials`() {
        var configuration = ZooKeeperClientConfiguration(servers: [Self.server])
        configuration.auth = [AuthCredential(scheme: "", credential: Array("secret".utf8))]
        let error = zooKeeperError { try configuration.validate() }
        #expect(error?.description.contains("secret") == false)
    }

    @Test func `a bad connection string makes no configuration`() {
        let error = zooKeeperError { _ = try ZooKeeperClientConfiguration(connectionString: "localhost") }
        #expect(error?.code == .invalidConfiguration)
    }
}
