import Testing
import ZooKeeperTransport

@testable import ZooKeeperBridge

@Suite struct EndpointTests {
    private func libraryServers(_ servers: String...) throws -> String {
        try TransportEndpoint(servers: servers, sessionTimeout: 1_000).libraryServers()
    }

    @Test func `rule 2: an even number of servers is made odd`() throws {
        #expect(try libraryServers("127.0.0.1:1") == "127.0.0.1:1")
        #expect(try libraryServers("127.0.0.1:1", "127.0.0.2:2") == "127.0.0.1:1,127.0.0.2:2,127.0.0.1:1")
        #expect(try libraryServers("10.0.0.1:1", "10.0.0.2:2", "10.0.0.3:3") == "10.0.0.1:1,10.0.0.2:2,10.0.0.3:3")
        #expect(try libraryServers("1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1", "1.1.1.4:1").split(separator: ",").count == 5)
    }

    @Test func `an IPv6 address loses its brackets`() throws {
        #expect(try libraryServers("[::1]:2181") == "::1:2181")
        #expect(try libraryServers("[fe80::1%eth0]:2181") == "fe80::1%eth0:2181")
    }

    @Test(arguments: [
        "localhost:2181", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "127.0.0.1:2181/chroot",
        "127.0.0.1:1,127.0.0.2:1", "", ":2181", "[]:2181", "127.0.0.1 :2181",
    ])
    func `rule 2: what is no address with a port is refused`(server: String) {
        #expect(throws: InvalidServer.self) { try libraryServers(server) }
    }

    @Test func `rule 2: two servers that are down are both tried, again and again`() async throws {
        let first = try #require(FakeServer(on: "127.0.0.1") { $0.end() })
        let second = try #require(FakeServer(on: "127.0.0.2") { $0.end() })
        let session = BridgeSession(to: [first.name, second.name], timeout: 1_000)
        session.connection.open()
        await first.accepted(3)
        await second.accepted(3)
        await session.connection.close(.endSession)
        first.stop()
        second.stop()
    }

    @Test func `a server that listens on IPv6 is reached`() async throws {
        // A machine without IPv6 has nothing to reach.
        guard
            let server = FakeServer(
                on: "::1",
                handle: {
                    $0.grantSession()
                    $0.swallowRequests()
                })
        else { return }
        let session = BridgeSession(to: [server.name])
        #expect(try await session.connect().id == 0x1234_5678)
        await session.connection.close(.endSession)
        server.stop()
    }

    @Test func `a server list without an address fails to open, and says why`() async {
        for servers in [[], ["localhost:2181"]] {
            let session = BridgeSession(to: servers)
            session.connection.open()
            let event = await session.event { _ in true }
            guard case .openFailed(let text) = event else {
                Issue.record("\(event)")
                continue
            }
            #expect(!text.isEmpty)
            #expect(await session.send(.sync(path: "/")).code == ReplyCode.connectionLoss)
            await session.connection.close(.endSession)
            #expect(session.journal.entries.count == 1)
        }
    }

    @Test func `a session's password that is none fails to open`() async {
        let session = BridgeSession(
            to: ["127.0.0.1:1"], session: TransportSession(id: 1, password: [1, 2], timeout: 1_000))
        session.connection.open()
        guard case .openFailed = await session.event(where: { _ in true }) else {
            Issue.record("opened")
            return
        }
        await session.connection.close(.keepSession)
    }
}
