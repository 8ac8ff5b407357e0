import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(4)))
struct ClientSessionTests {
    @Test func `states begin with the current one, and tell an expiry with the epochs around it`() async throws {
        try await ClientScene.with { scene in
            let session = try await scene.client.connectedSession()
            try await scene.client.create("/own", mode: .ephemeral)
            var states = scene.client.states.makeAsyncIterator()
            #expect(await states.next()?.session?.epoch == 1)
            try await scene.server.expireSession(of: scene.client)
            var told: [SessionState] = []
            while let state = await states.next() {
                told.append(state)
                if state.isConnected, state.session?.epoch == 2 { break }
            }
            let index = told.firstIndex { $0.isExpired }
            let expiry = try #require(index)
            #expect(told[expiry].session?.id == session.id)
            let isSuspendedBefore = told[..<expiry].contains { $0.isSuspended }
            #expect(isSuspendedBefore)
            #expect(session.hasEnded)
            #expect(scene.client.session?.epoch == 2)
            #expect(scene.client.session?.id != session.id)
            #expect(try await scene.client.exists(at: "/own") == nil)
        }
    }

    @Test func `a session can be ended with the client alone, whose servers are known by name`() async throws {
        try await ClientScene.with { scene in
            let port = try #require(scene.server.connectionString.split(separator: ":").last)
            let configuration = try ZooKeeperClientConfiguration(connectionString: "localhost:\(port)")
            try await withZooKeeperClient(configuration: configuration) { client in
                try await client.create("/own", mode: .ephemeral)
                try await expireSession(of: client)
                #expect(try await scene.client.exists(at: "/own") == nil)
                await client.wait { $0.isConnected && $0.session?.epoch == 2 }
                #expect(client.session?.epoch == 2)
            }
            let stopped = try ZooKeeperClient(configuration: configuration)
            let error = await #expect(throws: TestKitError.self) { try await expireSession(of: stopped) }
            #expect(error?.code == .sessionNotFound)
        }
    }

    @Test func `a restart of the server moves nothing`() async throws {
        try await ClientScene.with(sessionTimeout: .seconds(10)) { scene in
            let hold = try await scene.hold("/own")
            let session = try #require(scene.client.session)
            try await scene.server.restart()
            await scene.client.wait { $0.isConnected }
            #expect(try await scene.client.exists(at: "/own")?.czxid == hold.czxid)
            #expect(scene.client.session?.id == session.id)
            #expect(scene.client.session?.epoch == 1)
            #expect(hold.lossReason == nil)
        }
    }

    @Test func `requests made while the server is down wait for it, from the start on`() async throws {
        try await withTestServer { server in
            await server.stop()
            let configuration = try ZooKeeperClientConfiguration(connectionString: server.connectionString)
            try await withZooKeeperClient(configuration: configuration) { client in
                #expect(client.state == .connecting)
                async let creating = client.create("/a", data: [1])
                try await server.start()
                #expect(try await creating.path == "/a")
            }
        }
    }

    @Test func `a request's own deadline ends it while the server is down`() async throws {
        try await ClientScene.with(configure: { $0.retry.timeout = .seconds(2) }) { scene in
            _ = try await scene.client.connectedSession()
            await scene.server.stop()
            let clock = ContinuousClock()
            for _ in 0..<3 {
                let start = clock.now
                let error = await zooKeeperError { try await scene.client.data(at: "/") }
                #expect(error?.code == .operationTimeout || error?.code == .connectionLoss)
                #expect(clock.now - start <= .seconds(3))
            }
            let start = clock.now
            let error = await zooKeeperError { try await scene.client.create("/a") }
            #expect(error?.isOutcomeUnknown == false)
            #expect(error?.code == .operationTimeout)
            #expect(start.duration(to: clock.now) >= .seconds(2) && start.duration(to: clock.now) <= .seconds(3))
        }
    }

    @Test func `a graceful shutdown finishes requests under way, closes the session, then refuses`() async throws {
        try await ClientScene.with { scene in
            let configuration = try ZooKeeperClientConfiguration(connectionString: scene.proxy.connectionString)
            let client = try ZooKeeperClient(configuration: configuration)
            let group = ServiceGroup(
                configuration: .init(services: [.init(service: client)], logger: Logger(label: "test")))
            async let running: Void = group.run()
            try await client.create("/own", mode: .ephemeral)
            await scene.proxy.hold(.toClient)
            scene.proxy.clearRequests()
            async let writing = client.create("/written")
            try await scene.proxy.nextRequest { $0.isCreate }
            await group.triggerGracefulShutdown()
            await scene.proxy.release()
            #expect(try await writing.path == "/written")
            try await running
            #expect(client.state.isClosed)
            #expect(await zooKeeperError { try await client.data(at: "/") }?.code == .clientStopped)
            #expect(try await scene.other.exists(at: "/own") == nil)
            #expect(try await scene.other.exists(at: "/written") != nil)
        }
    }

    @Test func `twenty cuts of 200 ms keep session, znode and grant, and create nothing`() async throws {
        try await ClientScene.with(sessionTimeout: .seconds(10)) { scene in
            let hold = try await scene.hold("/own")
            scene.proxy.clearRequests()
            for _ in 0..<20 {
                await scene.proxy.refuse()
                await scene.proxy.cut()
                await scene.client.wait { !$0.isConnected }
                // The cut's length is the scenario; nothing is awaited.
                try await Task.sleep(for: .milliseconds(200))
                await scene.proxy.accept()
                await scene.client.wait { $0.isConnected }
                #expect(hold.isValid)
            }
            #expect(scene.client.session?.epoch == 1)
            #expect(try await scene.client.exists(at: "/own")?.czxid == hold.czxid)
            #expect(hold.lossReason == nil)
            try await scene.client.create("/marker")
            let firstCreate = try await scene.proxy.nextRequest { $0.isCreate }
            #expect(firstCreate.path == "/marker")
        }
    }

    @Test func `an unresolvable host and a stranger at the port hold nobody up who has a deadline`() async throws {
        try await withTestServer { server in
            let stranger = try await StrangeServer.start()
            for address in [
                ServerAddress(host: "no-such-host.invalid", port: 2181),
                ServerAddress(host: "127.0.0.1", port: stranger.port),
            ] {
                var configuration = ZooKeeperClientConfiguration(servers: [address], sessionTimeout: .seconds(2))
                configuration.retry.timeout = .seconds(1)
                try await withZooKeeperClient(configuration: configuration) { client in
                    let error = await zooKeeperError { try await client.data(at: "/") }
                    #expect(error?.code == .operationTimeout)
                    #expect(!client.state.isConnected)
                    // The same client goes on as soon as it is told better.
                    try client.updateServers([ServerAddress(host: "127.0.0.1", port: server.port)])
                    await client.wait { $0.isConnected }
                    #expect(try await client.exists(at: "/") != nil)
                }
            }
            stranger.stop()
        }
    }

    @Test func `a server that never answers holds nobody up who has a deadline`() async throws {
        try await withTestServer { server in
            try server.pause()
            var configuration = try ZooKeeperClientConfiguration(
                connectionString: server.connectionString, sessionTimeout: .seconds(2))
            configuration.retry.timeout = .seconds(1)
            try await withZooKeeperClient(configuration: configuration) { client in
                #expect(await zooKeeperError { try await client.data(at: "/") }?.code == .operationTimeout)
                try server.resume()
                await client.wait { $0.isConnected }
                #expect(try await client.exists(at: "/") != nil)
            }
        }
    }

    @Test func `bad arguments are refused before anything is sent, and the session stays`() async throws {
        try await ClientScene.with { scene in
            let client = scene.client
            try await client.create("/a")
            for path in ["", "a", "/a//b", "/a/", "/a/./b", "/a/../b", "/a\0", "/a\u{1}"] {
                let error = await zooKeeperError { try await client.data(at: path) }
                #expect(error?.code == .invalidPath)
                #expect(error?.path == path)
                #expect(error?.message?.contains("position") == true)
            }
            let large = [UInt8](repeating: 0, count: 1 << 20)
            #expect(await zooKeeperError { try await client.setData(large, at: "/a") }?.code == .dataTooLarge)
            #expect(await zooKeeperError { try await client.create("/b", data: large) }?.code == .dataTooLarge)
            let fits = [UInt8](repeating: 7, count: (1 << 20) - 200)
            try await client.setData(fits, at: "/a")
            #expect(try await client.data(at: "/a").data == fits)
            #expect(client.session?.epoch == 1)
            #expect(scene.proxy.counters.connections == 1)
        }
    }
}
