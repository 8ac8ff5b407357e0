import Testing
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@Suite(.zooKeeperServer, .timeLimit(.minutes(2)))
struct FaultProxyTests {
    @Test func `requests pass and are seen`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        #expect(try await client.create("/seen") == Answer.success)
        let request = try await proxy.nextRequest()
        #expect(request.isCreate)
        #expect(request.path == "/seen")
        #expect(proxy.counters.connections == 1)
        #expect(proxy.counters.framesToServer == 2)
        #expect(proxy.counters.framesToClient == 2)
        await proxy.close()
        #expect(proxy.counters.openConnections == 0)
    }

    @Test func `a swallowed reply leaves its request done`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        await proxy.dropNextReply(thenCut: true) { $0.isCreate }
        #expect(try await client.exists("/swallowed") == Answer.noNode)
        await #expect(throws: TestKitError.self) { try await client.create("/swallowed") }
        #expect(try await proxy.nextDropped()?.path == "/swallowed")
        let again = try await RawClient.connect(to: proxy)
        #expect(try await again.exists("/swallowed") == Answer.success)
    }

    @Test func `a swallowed request never happens`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        await proxy.dropNextRequest(thenCut: true) { $0.isCreate }
        await #expect(throws: TestKitError.self) { try await client.create("/never") }
        let again = try await RawClient.connect(to: proxy)
        #expect(try await again.exists("/never") == Answer.noNode)
    }

    @Test func `what is held arrives in order when released`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        await proxy.hold(.toServer)
        async let created = client.create("/held")
        try await proxy.nextRequest { $0.isCreate }
        let direct = try await RawClient.connect(to: TestServer.current)
        #expect(try await direct.exists("/held") == Answer.noNode)
        await proxy.release()
        #expect(try await created == Answer.success)
        #expect(try await direct.exists("/held") == Answer.success)
    }

    @Test func `a held reply says nothing of its request`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        await proxy.hold(.toClient)
        let before = proxy.counters.framesToClient
        async let created = client.create("/quiet")
        try await proxy.waitUntil { $0.framesToClient > before }
        let direct = try await RawClient.connect(to: TestServer.current)
        #expect(try await direct.exists("/quiet") == Answer.success)
        await proxy.release()
        #expect(try await created == Answer.success)
    }

    @Test func `a cut resets what is open and nothing else`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        await proxy.cut()
        await #expect(throws: TestKitError.self) { try await client.exists("/") }
        let again = try await RawClient.connect(to: proxy)
        #expect(try await again.exists("/") == Answer.success)
        #expect(proxy.counters.connections == 2)
        #expect(proxy.counters.openConnections == 1)
    }

    @Test func `refusing keeps what is open and lets nobody in`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        for _ in 0..<3 {
            await proxy.refuse()
            let error = await #expect(throws: TestKitError.self) { try await RawClient.connect(to: proxy) }
            #expect(error?.message.contains("refused") == true)
            #expect(try await client.exists("/") == Answer.success)
            await proxy.accept()
            _ = try await RawClient.connect(to: proxy)
        }
    }

    @Test func `frames that are dropped do not break the stream`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        await proxy.drop(.toServer)
        let lost = Task { try await client.create("/dropped") }
        try await proxy.nextRequest { $0.isCreate }
        await proxy.release()
        await #expect(throws: TestKitError.self) { try await lost.value }
        #expect(try await client.exists("/dropped") == Answer.noNode)
    }

    @Test func `a delay and a throttle hold everything up and lose nothing`() async throws {
        let proxy = try FaultProxy(to: .current)
        let client = try await RawClient.connect(to: proxy)
        let clock = ContinuousClock()
        await proxy.delay(.milliseconds(100))
        // Both ways: a lower bound of what the proxy was asked for, not a measurement.
        var start = clock.now
        #expect(try await client.exists("/") == Answer.success)
        #expect(clock.now - start >= .milliseconds(200))
        await proxy.delay(.zero)
        await proxy.throttle(bytesPerSecond: 100_000)
        let data = [UInt8](repeating: 7, count: 40_000)
        start = clock.now
        #expect(try await client.create("/throttled", data: data) == Answer.success)
        #expect(clock.now - start >= .milliseconds(300))
    }

    @Test func `a server that is not there resets its client`() async throws {
        let proxy = try FaultProxy(toAddress: "127.0.0.1", port: 1)
        await #expect(throws: TestKitError.self) { try await RawClient.connect(to: proxy) }
    }

    @Test func `four letter words pass as they are`() async throws {
        let proxy = try FaultProxy(to: .current)
        let answer = try await fourLetterWord("ruok", host: proxy.address, port: proxy.port)
        #expect(answer == "imok")
    }

    @Test func `a hundred proxies with a connection each are cheap`() async throws {
        let proxies = try (0..<100).map { _ in try FaultProxy(to: .current) }
        for proxy in proxies {
            let client = try await RawClient.connect(to: proxy)
            #expect(try await client.exists("/") == Answer.success)
        }
        for proxy in proxies { await proxy.close() }
        #expect(proxies.allSatisfy { $0.counters.openConnections == 0 })
    }
}

@Suite(.zooKeeperServer, .timeLimit(.minutes(2)))
struct SessionExpiryTests {
    @Test func `an expired session takes its ephemeral nodes along`() async throws {
        let client = try await RawClient.connect(to: TestServer.current)
        #expect(try await client.create("/ephemeral", ephemeral: true) == Answer.success)
        try await TestServer.current.expireSession(id: client.session.id, password: client.session.password)
        let other = try await RawClient.connect(to: TestServer.current)
        #expect(try await other.exists("/ephemeral") == Answer.noNode)
    }

    @Test func `a session that does not exist cannot be expired`() async throws {
        let error = await #expect(throws: TestKitError.self) {
            try await TestServer.current.expireSession(id: 42, password: [UInt8](repeating: 1, count: 16))
        }
        #expect(error?.code == .sessionNotFound)
    }
}
