import Synchronization
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// What a client does when the watches of its session would not fit into the packet that sets them again.
@Suite(.timeLimit(.minutes(5)))
struct ClientWatchRoomTests {
    private static let packet = 1100

    private func path(_ name: String, _ length: Int) -> String {
        "/" + name + String(repeating: "x", count: length - name.utf8.count - 1)
    }

    private func run(_ body: (ScriptedClient) async throws -> Void) async throws {
        try await ScriptedClient.run({ $0.maximumPacketSize = Self.packet }, body)
    }

    /// Advances the clock, and returns when the heartbeat loop has done what is due and sleeps again.
    private func advance(_ scripted: ScriptedClient) async {
        let clock = scripted.clock
        clock.advance(by: .milliseconds(100))
        while true {
            let nextLook = scripted.client.core.state.withLock { $0.heartbeat.nextLook }
            if let nextLook, nextLook > clock.now, clock.isSleeper(until: nextLook) { return }
            await Task.yield()
        }
    }

    @Test func `the refusal names the size, the limit and the remedy, and sends nothing`() async throws {
        try await run { scripted in
            let connection = try await scripted.connected()
            let error = await #expect(throws: ZooKeeperError.self) {
                _ = try await scripted.client.watchData(at: path("a", 600))
            }
            #expect(error?.isWatchRefusal == true)
            let message = try #require(error?.message)
            for part in ["0 bytes", "maximumPacketSize is 1100", "jute.maxbuffer", "watch fewer"] {
                #expect(message.contains(part), "\(message)")
            }
            #expect(connection.waiting.isEmpty)
        }
    }

    @Test func `an own znode whose watch finds no room is tried at intervals, and lost for that reason`() async throws {
        try await run { scripted in
            let connection = try await scripted.connected()
            let first = try await scripted.held(path("first", 600), on: connection)
            scripted.clock.advance(by: .seconds(3))
            await connection.answerBeat()
            let second = try await scripted.client.connectedSession().hold(
                path("second", 600), czxid: ZXID(rawValue: 5))
            #expect(second.isValid, "for as long as its session was known to be when it was created")
            #expect(second.watchProblem?.isWatchRefusal == true)
            var steps = 0
            while second.lossReason == nil, steps < 300 {
                await advance(scripted)
                steps += 1
                if let sync = connection.taken(where: \.isSync) { sync.answer(0) }
                if let proof = connection.taken(where: \.isMulti) {
                    proof.answer(0, .multi([TransportOperationResult(code: 0), TransportOperationResult(code: 0)]))
                }
            }
            #expect(second.lossReason == .notWatched)
            #expect(steps > 50 && steps < 200)
            #expect(first.isValid)
            #expect(!connection.waiting.contains { $0.isRead(of: second.path) })
        }
    }

    @Test func `an own znode is watched as soon as there is room`() async throws {
        try await run { scripted in
            let connection = try await scripted.connected()
            let first = try await scripted.held(path("first", 600), on: connection)
            let second = try await scripted.client.connectedSession().hold(
                path("second", 600), czxid: ZXID(rawValue: 5))
            connection.say(.watch(TransportWatchEvent(kind: .deleted, path: first.path)))
            await advance(scripted)
            await connection.next { $0.isRead(of: second.path) }.answer(0, .data([], .test()))
            #expect(second.watchProblem == nil)
        }
    }

    @Test func `a watch of the program makes way for an own znode, and is taken away first`() async throws {
        try await run { scripted in
            let connection = try await scripted.connected()
            let (own, other) = (path("own", 700), path("other", 400))
            async let watching = scripted.client.watchData(at: other)
            await connection.next { $0.isRead(of: other) }.answer(0, .data([], .test()))
            let watch = try await watching.watch
            _ = try await scripted.client.connectedSession().hold(own, czxid: ZXID(rawValue: 5))
            #expect(try await watch.event().kind == .interrupted)
            let waiting = connection.waiting.filter { !$0.isSync }
            #expect(waiting.count == 2)
            #expect(waiting.first?.isRemoval == true && waiting.last?.isRead(of: own) == true)
        }
    }

    @Test func `a watch is taken away once more after its removal was lost with the connection`() async throws {
        for code: ReplyCode in [-4, -7] {
            try await run { scripted in
                let connection = try await scripted.connected()
                async let watching = scripted.client.watchData(at: "/a")
                await connection.next { $0.isRead(of: "/a") }.answer(0, .data([], .test()))
                try await watching.watch.cancel()
                await connection.next(where: \.isRemoval).answer(code)
                await connection.next(where: \.isRemoval).answer(0)
                #expect(scripted.client.core.state.withLock { $0.watches.wireSize } == 0)
            }
        }
    }

    @Test func `a proof checks as many own znodes as fit into a packet, and the others in the next one`() async throws {
        try await run { scripted in
            let connection = try await scripted.connected()
            let session = try await scripted.client.connectedSession()
            let paths = (0..<10).map { path("own-\($0)", 100) }
            let holds = paths.map { session.hold($0, czxid: ZXID(rawValue: 5)) }
            for path in paths { await connection.next { $0.isRead(of: path) }.answer(0, .data([], .test())) }
            var checked: Set<String> = []
            for _ in 0..<3 {
                let proof = await connection.nextProof()
                #expect(proof.request.encodedSize <= Self.packet)
                guard case .multi(let operations) = proof.request else { return }
                for case .check(let path, _) in operations { checked.insert(path) }
                proof.answer(0, .multi(operations.map { _ in TransportOperationResult(code: 0) }))
                scripted.clock.advance(by: .seconds(3))
            }
            #expect(checked == Set(paths))
            #expect(holds.allSatisfy { $0.lossReason == nil })
        }
    }

    @Test func `a credential that no server takes is not kept for the next connection`() async throws {
        try await run { scripted in
            _ = try await scripted.connected()
            let credential = AuthCredential(scheme: "digest", credential: [UInt8](repeating: 1, count: 2000))
            let error = await #expect(throws: ZooKeeperError.self) { try await scripted.client.addAuth(credential) }
            #expect(error?.code == .dataTooLarge)
            #expect(scripted.client.core.state.withLock { $0.credentials.isEmpty })
        }
    }
}
