import Testing
import ZooKeeperTestKit
import ZooKeeperTransport

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

    @Test func `rule 20: a session is kept whatever the moment of the close, 200 times`() async throws {
        try await withTestServer { server in
            let observer = BridgeSession(to: [server.connectionString])
            try await observer.connect()
            let first = BridgeSession(to: [server.connectionString], timeout: 20_000)
            let session = try await first.connect()
            await first.send(.create("/kept", mode: .ephemeral))
            await first.connection.close(.keepSession)
            for round in 0..<200 {
                // Closed while it connects: before, during or just after the server has resumed the session.
                let next = BridgeSession(to: [server.connectionString], timeout: 20_000, session: session)
                next.connection.open()
                for _ in 0..<(round * 7) { await Task.yield() }
                await next.connection.close(.keepSession)
                #expect(await observer.send(.exists(path: "/kept", watch: false)).code == 0)
            }
            await observer.connection.close(.endSession)
        }
    }

    @Test func `rule 20: a session is kept when the server is frozen or gone`() async throws {
        try await withTestServer { server in
            let first = BridgeSession(to: [server.connectionString], timeout: 20_000)
            let session = try await first.connect()
            await first.send(.create("/kept", mode: .ephemeral))
            await first.connection.close(.keepSession)

            for round in 0..<10 {
                let frozen = BridgeSession(to: [server.connectionString], timeout: 20_000, session: session)
                try await frozen.connect()
                try server.pause()
                for number in 0..<10 { frozen.post(number, .setData(path: "/kept", data: nil, version: 99)) }
                await frozen.connection.close(.keepSession)
                try server.resume()
                #expect(frozen.replies.count == 10, "round \(round)")
                #expect(frozen.replies.allSatisfy { $0.reply.code == -116 })
            }

            let gone = BridgeSession(to: [server.connectionString], timeout: 20_000, session: session)
            try await gone.connect()
            await server.stop()
            _ = await gone.event { if case .disconnected = $0 { true } else { false } }
            await gone.connection.close(.keepSession)
            try await server.start()

            let last = BridgeSession(to: [server.connectionString], session: session)
            #expect(try await last.connect().id == session.id)
            guard case .stat(let stat) = await last.send(.exists(path: "/kept", watch: false)).body else {
                throw UnexpectedReply()
            }
            #expect(stat.ephemeralOwner == session.id)
            await last.connection.close(.endSession)
        }
    }
}
