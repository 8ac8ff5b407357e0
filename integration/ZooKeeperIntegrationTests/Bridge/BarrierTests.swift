import Testing
import ZooKeeperBridge
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What `sync` does not do, on real servers, and the transaction that does it.
@Suite(.timeLimit(.minutes(2)))
struct BarrierTests {
    @Test func `a leader answers its own client's sync before that client's create has its votes`() async throws {
        var configuration = TestServerConfiguration()
        configuration.syncLimit = 40
        try await withTestEnsemble(members: 3, proxiedQuorum: true, configuration: configuration) { ensemble in
            let leader = try await ensemble.leader()
            let votes = await ensemble.followers().map { ensemble.link(from: $0, to: leader) }
            let proxy = try FaultProxy(to: leader)
            let session = BridgeSession(to: [proxy.connectionString], timeout: 20_000)
            try await session.connect()
            await session.send(.create("/queue"))

            // A cut may overtake the create: then there was nothing to wait for.
            var wasProposed = false
            for attempt in 0..<10 where !wasProposed {
                let name = "own\(attempt)"
                for link in votes { await link.hold(.toServer) }
                session.post(attempt, .create("/queue/\(name)", mode: .ephemeral))
                try await proxy.nextRequest { $0.path == "/queue/\(name)" }
                let before = session.journal.entries.count
                await proxy.cut()
                _ = try await session.connected(from: before)

                #expect(await session.send(.sync(path: "/queue")).code == 0)
                #expect(await session.names == [])
                async let barrier = session.send(.multi([.check(path: "/queue", version: -1)]))
                for link in votes { await link.release() }
                #expect(await barrier.code == 0)
                wasProposed = await session.names == [name]
            }
            #expect(wasProposed)
            await session.connection.close(.endSession)
            await proxy.close()
        }
    }
}

extension BridgeSession {
    fileprivate var names: [String]? {
        get async {
            guard case .children(let names, _) = await send(.getChildren(path: "/queue", watch: false)).body else {
                return nil
            }
            return names
        }
    }
}
