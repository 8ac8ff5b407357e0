import Logging
import Testing

@testable import ZooKeeper

/// The setting for encrypted connections.
@Suite struct TLSConfigurationTests {
    private let tls = TLSConfiguration(
        certificateAuthority: "/no/ca.pem", certificate: "/no/cert.pem", privateKey: "/no/key.pem",
        privateKeyPassword: "s3cret")

    private func configuration(_ tls: TLSConfiguration) -> ZooKeeperClientConfiguration {
        var configuration = ZooKeeperClientConfiguration(servers: [ServerAddress(host: "zk1", port: 2281)])
        configuration.tls = tls
        return configuration
    }

    @Test func `a client with TLS is not created if the library or a file cannot be used`() {
        let error = zooKeeperError { _ = try ZooKeeperClient(configuration: configuration(tls)) }
        #expect(error?.code == .invalidConfiguration)
        let message = error?.message ?? ""
        if TLSConfiguration.isSupported {
            #expect(message.contains("tls.certificateAuthority is \"/no/ca.pem\", which cannot be read"), "\(message)")
        } else {
            #expect(message.contains("zookeeper_init_ssl") && message.contains("stunnel"), "\(message)")
        }
    }

    @Test(arguments: ["", "a,b", "a\nb", "a\u{0}"])
    func `a password that the library could not read is refused`(password: String) {
        var tls = tls
        tls.privateKeyPassword = password
        let error = zooKeeperError { try configuration(tls).validate() }
        #expect(error?.message?.contains("tls.privateKeyPassword") == true)
    }

    @Test func `a description contains no password`() {
        var dumped = ""
        dump(configuration(tls), to: &dumped)
        for text in ["\(configuration(tls))", String(reflecting: tls), dumped, "\(tls)"] {
            #expect(text.contains("/no/ca.pem") && !text.contains("s3cret"), "\(text)")
        }
    }
}
