import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct ClientHeartbeatTests {
    @Test func `a proof is sent when the sync before it is answered, and not sooner`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            scripted.clock.advance(by: .seconds(3))
            let sync = await connection.next(where: \.isSync)
            scripted.clock.advance(by: .milliseconds(50))
            #expect(connection.waiting.isEmpty)
            let before = hold.validUntil
            sync.answer(0)
            #expect(hold.validUntil == before)
            await connection.next(where: \.isMulti).answer(0, .multi([TransportOperationResult(code: 0)]))
            #expect(hold.isValid)
        }
    }

    @Test func `a heartbeat is sent before the requests that wait for their turn`() async throws {
        try await ScriptedClient.run({ $0.maximumRequestsInFlight = 1 }) { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            let reads = (0..<3).map { number in
                scripted.client.core.submit([.data(path: "/read\(number)")], whenAnswered: nil)
            }
            let first = await connection.next(where: { $0.isRead(of: "/read0") })
            scripted.clock.advance(by: .seconds(3))
            await scripted.waitForOutbox(3)
            let before = hold.validUntil
            first.answer(-101)
            await connection.next().answer(0)
            await connection.next(where: \.isMulti).answer(0, .multi([TransportOperationResult(code: 0)]))
            #expect(hold.validUntil > before)
            for number in 1...2 {
                await connection.next(where: { $0.isRead(of: "/read\(number)") }).answer(-101)
            }
            withExtendedLifetime(reads) {}
        }
    }

    @Test func `a sync goes to the chroot, as the proof does`() async throws {
        try await ScriptedClient.run({ $0.chroot = try? ZNodePath("/app") }) { scripted in
            let connection = try await scripted.transport.connection(1)
            connection.connect()
            await connection.next().answer(0, .stat(.test()))
            _ = try await scripted.client.connectedSession().hold("/own", czxid: ZXID(rawValue: 5))
            guard case .sync("/app") = await connection.next(where: \.isSync).request else {
                Issue.record("another path")
                return
            }
        }
    }

    @Test func `idle and holding nothing, a session reads and sends no sync`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            for _ in 0..<5 {
                scripted.clock.advance(by: .seconds(3))
                await connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
            }
            #expect(connection.waiting.isEmpty)
        }
    }

    @Test func `a sync that fails sends no proof, and is repeated after a pause`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            _ = try await scripted.held("/own", on: connection)
            scripted.clock.advance(by: .seconds(3))
            await connection.next(where: \.isSync).answer(-6)
            await scripted.clock.waitForSleeper(until: scripted.clock.now + .seconds(10) / 16)
            #expect(connection.waiting.isEmpty)
            scripted.clock.advance(by: .seconds(10) / 16)
            await connection.answerBeat()
        }
    }

    @Test func `a heartbeat that loses its connection leaves the next one's alone`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            scripted.clock.advance(by: .seconds(3))
            let stale = await connection.next(where: \.isSync)
            // The answer comes after the connection was lost and has come back: it begins no second proof.
            connection.say(.disconnected)
            connection.connect()
            let fresh = await connection.next(where: \.isSync)
            stale.answer(0)
            #expect(connection.waiting.isEmpty)
            fresh.answer(0)
            await connection.next(where: \.isMulti).answer(0, .multi([TransportOperationResult(code: 0)]))
            #expect(connection.waiting.isEmpty)
            #expect(hold.lossReason == nil)
        }
    }

    @Test func `what is released while the sync is on its way is not proved`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            scripted.clock.advance(by: .seconds(3))
            let sync = await connection.next(where: \.isSync)
            hold.release()
            sync.answer(0)
            #expect(connection.waiting.isEmpty)
            // The next heartbeat is not kept from being sent.
            scripted.clock.advance(by: .seconds(3))
            await connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
        }
    }

    @Test func `after a long time of reading, what is held is valid with one heartbeat`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            for _ in 0..<5 {
                scripted.clock.advance(by: .seconds(3))
                await connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
            }
            let hold = try await scripted.held("/own", on: connection)
            #expect(hold.isValid)
            #expect(hold.validUntil == scripted.clock.now + .milliseconds(6500))
        }
    }
}
