#if Configuration
import Configuration
import Testing

@testable import ZooKeeper

@Suite
struct ConfigReaderTests {
    private func read(_ values: [AbsoluteConfigKey: ConfigValue]) throws -> ZooKeeperClientConfiguration {
        try ZooKeeperClientConfiguration(config: ConfigReader(provider: InMemoryProvider(values: values)))
    }

    @Test func `a connection string is enough`() throws {
        let read = try read(["connectionString": "zk1:2181,zk2:2182/app"])
        let expected = try ZooKeeperClientConfiguration(connectionString: "zk1:2181,zk2:2182/app")
        #expect(read.servers == expected.servers)
        #expect(read.chroot == expected.chroot)
        #expect(read.sessionTimeout == expected.sessionTimeout)
        #expect(read.validityMargin == expected.validityMargin)
        #expect(read.handleReleaseTimeout == expected.handleReleaseTimeout)
        #expect(read.retry == expected.retry)
        #expect(read.auth.isEmpty && read.tls == nil)
        #expect(read.acl == expected.acl)
        #expect(read.usesContainerParents == expected.usesContainerParents)
        #expect(read.maximumRequestsInFlight == expected.maximumRequestsInFlight)
        #expect(read.maximumPacketSize == expected.maximumPacketSize)
    }

    @Test func `every key is read`() throws {
        let read = try read([
            "servers": ConfigValue(.stringArray(["zk1:2181", "[::1]:2182"]), isSecret: false),
            "chroot": "/app", "sessionTimeoutSeconds": 4.5, "validityMargin": 0.1, "retry.timeoutSeconds": 60,
            "handleReleaseTimeoutSeconds": 2, "tls.certificateAuthority": "/ca.pem", "tls.certificate": "/cert.pem",
            "tls.privateKey": "/key.pem", "tls.privateKeyPassword": "word",
            "retry.initialDelaySeconds": 0.01, "retry.maximumDelaySeconds": 1.5, "auth.credential": "me:secret",
            "acl": "creatorAll", "usesContainerParents": false, "maximumRequestsInFlight": 16,
            "maximumPacketSize": 4096,
        ])
        #expect(read.servers.map(\.description) == ["zk1:2181", "[::1]:2182"])
        #expect(read.chroot?.string == "/app")
        #expect(read.sessionTimeout == .milliseconds(4500))
        #expect(read.validityMargin == 0.1)
        #expect(read.handleReleaseTimeout == .seconds(2))
        #expect(
            read.retry
                == RetryPolicy(
                    timeout: .seconds(60), initialDelay: .milliseconds(10), maximumDelay: .milliseconds(1500)))
        #expect(read.auth == [.digest(user: "me", password: "secret")])
        #expect(
            read.tls
                == TLSConfiguration(
                    certificateAuthority: "/ca.pem", certificate: "/cert.pem", privateKey: "/key.pem",
                    privateKeyPassword: "word"))
        #expect(read.acl == [.creatorAll])
        #expect(!read.usesContainerParents)
        #expect(read.maximumRequestsInFlight == 16)
        #expect(read.maximumPacketSize == 4096)
    }

    @Test(
        arguments: [
            ([:], "key connectionString is missing"),
            (["connectionString": "zk1"], "has no port"),
            (["connectionString": "zk1:1", "chroot": "app"], "key chroot is \"app\", with no slash"),
            (["connectionString": "zk1:1/a", "chroot": "/b"], "key chroot is set"),
            (["connectionString": "zk1:1", "sessionTimeoutSeconds": "soon"], "key sessionTimeoutSeconds is \"soon\""),
            (["connectionString": "zk1:1", "sessionTimeoutSeconds": 0], "sessionTimeout is 0.0 seconds"),
            (["connectionString": "zk1:1", "sessionTimeoutSeconds": 1e300], "key sessionTimeoutSeconds is 1e+300"),
            (["connectionString": "zk1:1", "maximumRequestsInFlight": 0.5], "it must be a whole number"),
            (["connectionString": "zk1:1", "usesContainerParents": "maybe"], "true or false"),
            (["connectionString": "zk1:1", "acl": "everything"], "open, readOnly or creatorAll"),
            (["connectionString": "zk1:1", "validityMargin": 1], "validityMargin is 1.0"),
            (["connectionString": "zk1:1", "tls.certificate": "/c"], "key tls.certificateAuthority is missing"),
            (
                ["connectionString": "zk1:1", "tls.certificateAuthority": "/a", "tls.certificate": "/c"],
                "key tls.privateKey is missing"
            ),
            (["connectionString": "zk1:1", "tls.privateKeyPassword": "word"], "set all of tls.certificateAuthority"),
        ] as [([AbsoluteConfigKey: ConfigValue], String)])
    func `what is wrong is named, and no default hides it`(values: [AbsoluteConfigKey: ConfigValue], problem: String) {
        let error = zooKeeperError { _ = try read(values) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message?.contains(problem) == true, "\(error?.message ?? "")")
    }
}
#endif
