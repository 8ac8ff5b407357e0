import Testing
import ZooKeeperBridge
import ZooKeeperTestKit

@Suite(.timeLimit(.minutes(5)))
struct BridgeKeepSessionTests {
    @Test func `rule 20: a session that is kept outlives its connection, 200 times`() async throws {
        try await withTestServer { server in
            let observer = BridgeSession(to: [server.connectionString])
            try await observer.connect()
            let first = BridgeSession(to: [server.connectionString], timeout: 10_000)
            let session = try await first.connect()
            let created = await first.send(.create("/kept", mode: .ephemeral))
            #expect(created.code == 0)
            await first.connection.close(.keepSession)

            for round in 0..<200 {
                let next = BridgeSession(to: [server.connectionString], timeout: 10_000, session: session)
                let resumed = try await next.connect()
                #expect(resumed.id == session.id && resumed.password == session.password)
                // Some rounds close with requests in flight.
                for number in 0..<(round % 4) * 10 { next.post(number, .getData(path: "/kept", watch: false)) }
                await next.connection.close(.keepSession)
                #expect(await observer.send(.exists(path: "/kept", watch: false)).code == 0)
            }

            let last = BridgeSession(to: [server.connectionString], session: session)
            try await last.connect()
            await last.connection.close(.endSession)
            #expect(await observer.send(.exists(path: "/kept", watch: false)).code == -101)
            await observer.connection.close(.endSession)
        }
    }
}
