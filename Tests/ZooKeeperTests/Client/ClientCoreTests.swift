import Synchronization
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct ClientCoreTests {
    // MARK: Deadlines

    @Test func `a request's deadline ends it while there is no connection`() async throws {
        try await ScriptedClient.run { scripted in
            _ = try await scripted.transport.connection(1)
            let reading = Task { try await scripted.client.data(at: "/a") }
            let deadline = scripted.clock.now + scripted.client.configuration.retry.timeout
            await scripted.clock.waitForSleeper(until: deadline)
            scripted.clock.advance(by: scripted.client.configuration.retry.timeout)
            await #expect(throws: ZooKeeperError(.operationTimeout, path: "/a", message: "no connection in time")) {
                try await reading.value
            }
        }
    }

    @Test func `a write that is not answered in time says that it may have happened`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let writing = Task { try await scripted.client.setData([1], at: "/a") }
            _ = await connection.next(where: \.isSetData)
            for _ in 0..<12 {
                scripted.clock.advance(by: .seconds(3))
                if connection.waiting.contains(where: \.isHeartbeat) {
                    await connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
                }
            }
            do {
                _ = try await writing.value
                Issue.record("it was answered")
            } catch let error as ZooKeeperError {
                #expect(error.code == .operationTimeout)
                #expect(error.isOutcomeUnknown)
            }
        }
    }

    @Test func `what was given up without a connection does not pile up`() async throws {
        try await ScriptedClient.run { scripted in
            _ = try await scripted.transport.connection(1)
            for _ in 0..<5000 {
                let reading = Task { try await scripted.client.data(at: "/a") }
                reading.cancel()
                _ = try? await reading.value
            }
            let requests = scripted.client.core.state.withLock { $0.requests }
            #expect(requests.waiting.count <= 1100)
            #expect(requests.deadlines.count <= 1100)
        }
    }

    @Test func `rule 10: a watch that could not be set again is refused before it is sent`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let path = "/" + String(repeating: "x", count: 1_000_000)
            let error = await #expect(throws: ZooKeeperError.self) {
                _ = try await scripted.client.watchExistence(at: path)
            }
            #expect(error?.code == .invalidArgument)
            #expect(connection.waiting.isEmpty)
        }
    }

    @Test func `a new connection asks for the timeout that its session has`() async throws {
        try await ScriptedClient.run({ $0.sessionTimeout = .seconds(4) }) { scripted in
            let first = try await scripted.transport.connection(1)
            #expect(first.endpoint.sessionTimeout == 4_000)
            first.connect(timeout: 10_000)
            _ = try await scripted.client.connectedSession()
            try scripted.client.updateServers([ServerAddress(host: "127.0.0.2", port: 2181)])
            #expect(try await scripted.transport.connection(2).endpoint.sessionTimeout == 10_000)
        }
    }

    @Test func `a flight that spans a reconnection fails, also while the connection is being closed`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let session = try await scripted.client.connectedSession()
            async let results = session.sendAll(.data(path: "/a"), .data(path: "/b"))
            await connection.next { $0.isRead(of: "/a") }.answer(0, .data([1], .test()))
            let second = await connection.next { $0.isRead(of: "/b") }
            connection.beforeClose {
                connection.say(.disconnected)
                connection.connect()
                second.answer(0, .data([2], .test()))
            }
            try scripted.client.updateServers([ServerAddress(host: "127.0.0.2", port: 2181)])
            let all = try await results
            #expect(try all[0].get().data.data == [1])
            #expect(#expect(throws: ZooKeeperError.self) { try all[1].get() }?.code == .connectionLoss)
        }
    }

    @Test func `a write that is given up before it is sent is not sent, and its answer is not reported`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let session = try await scripted.client.connectedSession()
            let (answered, given) = (OneShot<Bool>(), OneShot<Bool>())
            func write(_ path: String, _ answered: OneShot<Bool>) -> Task<SessionReply, any Error> {
                Task {
                    try await session.send(.setData(path: path, data: [1])) { result in
                        answered.set((try? result.get()) != nil)
                    }
                }
            }
            let kept = write("/kept", answered)
            await connection.next(where: \.isSetData).answer(0, .stat(.test()))
            _ = try await kept.value
            // Before the task that waits for it runs.
            #expect(answered.value == true)

            connection.lose()
            let dropped = write("/dropped", given)
            await scripted.waitForOutbox(1)
            dropped.cancel()
            await #expect(throws: CancellationError.self) { try await dropped.value }
            connection.connect()
            // The outbox is sent in order.
            let last = Task { try await scripted.client.setData([2], at: "/last") }
            let sent = await connection.next(where: \.isSetData)
            guard case .setData("/last", _, _) = sent.request else {
                Issue.record("\(sent.request) was sent")
                return
            }
            sent.answer(0, .stat(.test()))
            _ = try await last.value
            #expect(given.value == nil)
        }
    }

    @Test func `a cancellation withdraws a write that is not sent, and does not end the wait for one that is`()
        async throws
    {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let session = try await scripted.client.connectedSession()
            func write(_ path: String, _ ignored: OneShot<Void>) -> Task<SessionReply, any Error> {
                Task {
                    try await session.sendUnlessCancelled(
                        .setData(path: path, data: [1]), ignoredCancellation: ignored)
                }
            }
            let ignored = OneShot<Void>()
            let sent = write("/sent", ignored)
            let submission = await connection.next(where: \.isSetData)
            sent.cancel()
            #expect(ignored.value != nil)
            submission.answer(0, .stat(.test()))
            _ = try await sent.value

            let neverIgnored = OneShot<Void>()
            let early = Task {
                while !Task.isCancelled { await Task.yield() }
                return try await session.sendUnlessCancelled(
                    .setData(path: "/early", data: [1]), ignoredCancellation: neverIgnored)
            }
            early.cancel()
            await #expect(throws: CancellationError.self) { try await early.value }

            connection.lose()
            let withdrawn = write("/withdrawn", neverIgnored)
            await scripted.waitForOutbox(1)
            withdrawn.cancel()
            await #expect(throws: CancellationError.self) { try await withdrawn.value }
            connection.connect()
            let last = Task { try await scripted.client.setData([2], at: "/last") }
            let next = await connection.next(where: \.isSetData)
            guard case .setData("/last", _, _) = next.request else {
                Issue.record("\(next.request) was sent")
                return
            }
            next.answer(0, .stat(.test()))
            _ = try await last.value
            #expect(neverIgnored.value == nil)
        }
    }

    // MARK: What is held

    @Test func `validity moves with the answers to writes, from when they were sent`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            #expect(!hold.isValid || hold.validUntil <= scripted.clock.now + .seconds(10))
            let before = hold.validUntil
            scripted.clock.advance(by: .milliseconds(500))
            let reading = Task { try await scripted.client.data(at: "/a") }
            await connection.next { $0.isRead(of: "/a") }.answer(0, .data([], .test()))
            _ = try await reading.value
            #expect(hold.validUntil == before)
            let writing = Task { try await scripted.client.setData([1], at: "/a") }
            let write = await connection.next(where: \.isSetData)
            let sent = scripted.clock.now
            scripted.clock.advance(by: .milliseconds(500))
            write.answer(0, .stat(.test()))
            _ = try await writing.value
            #expect(hold.validUntil <= sent + .seconds(9.5))
            #expect(hold.isValid)
        }
    }

    @Test func `writes that fail do not keep the proofs from being sent`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            _ = try await scripted.held("/own", on: connection)
            for _ in 0..<4 {
                scripted.clock.advance(by: .seconds(1))
                let writing = Task { try await scripted.client.setData([1], at: "/a", version: 7) }
                await connection.next(where: \.isSetData).answer(-103)
                _ = try? await writing.value
            }
            _ = await connection.nextProof()
        }
    }

    @Test func `a deleted own znode is lost before a later answer proves the session`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            let writing = Task { try await scripted.client.setData([1], at: "/a") }
            let write = await connection.next(where: \.isSetData)
            connection.say(.watch(TransportWatchEvent(kind: .deleted, path: "/own")))
            #expect(hold.lossReason == .znodeDeleted)
            write.answer(0, .stat(.test()))
            #expect(!hold.isValid)
            _ = try await writing.value
        }
    }

    @Test func `an own znode that was created anew by somebody is lost`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            connection.say(.watch(TransportWatchEvent(kind: .dataChanged, path: "/own")))
            await connection.next { $0.isRead(of: "/own") }.answer(0, .data([], .test(czxid: 9)))
            #expect(hold.lossReason == .znodeDeleted)
        }
    }

    @Test func `without its watch an own znode's validity does not grow`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            scripted.clock.advance(by: .milliseconds(2800))
            await connection.answerBeat()
            #expect(hold.isValid)
            let before = hold.validUntil
            connection.say(.watch(TransportWatchEvent(kind: .dataChanged, path: "/own")))
            let read = await connection.next { $0.isRead(of: "/own") }
            scripted.clock.advance(by: .seconds(3))
            await connection.answerBeat()
            #expect(hold.validUntil == before)
            read.answer(0, .data([], .test()))
            #expect(hold.validUntil > before)
        }
    }

    @Test func `a watch that is refused at once is not asked for at full speed`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            connection.refuse(-9)
            connection.say(.watch(TransportWatchEvent(kind: .dataChanged, path: "/own")))
            #expect(connection.refusals < 10)
            connection.refuse(nil)
            connection.lose()
            connection.connect()
            await connection.next { $0.isRead(of: "/own") }.answer(0, .data([], .test()))
            #expect(hold.lossReason == nil)
        }
    }

    @Test func `a proof names the own znode that is gone, and goes on for the others`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let first = try await scripted.held("/own-1", on: connection)
            let second = try await scripted.client.connectedSession().hold("/own-2", czxid: ZXID(rawValue: 5))
            await connection.next { $0.isRead(of: "/own-2") }.answer(0, .data([], .test()))
            scripted.clock.advance(by: .seconds(3))
            await connection.nextProof().answer(
                -101,
                .multi([TransportOperationResult(code: 0), TransportOperationResult(code: -101)]))
            #expect(first.lossReason == nil)
            #expect(second.lossReason == .znodeDeleted)
            await connection.answerBeat()
            #expect(first.isValid)
        }
    }

    @Test func `a deadline that passes ends what is held, and the session's end does`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            scripted.clock.advance(by: .seconds(3))
            await connection.answerBeat()
            #expect(hold.isValid)
            scripted.clock.advance(by: .seconds(9.5))
            #expect(!hold.isValid)
            #expect(try await hold.waitForLoss() == .deadlinePassed)
            let other = try await scripted.client.connectedSession().hold("/other", czxid: ZXID(rawValue: 5))
            connection.say(.expired)
            #expect(other.lossReason == .sessionEnded)
        }
    }

    @Test func `a connection that came back before its loss was told is not thought younger`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            let lastAnswered = scripted.clock.now
            scripted.clock.advance(by: .seconds(2))
            // The process slept: both events are delivered after the connection has come back.
            connection.lose()
            connection.connect()
            scripted.clock.advance(by: .milliseconds(1))
            await connection.answerBeat()
            #expect(hold.session.validUntil <= lastAnswered + .seconds(9.5))
        }
    }

    // MARK: Sessions

    @Test func `a session's end is told before the next session, with its epoch`() async throws {
        try await ScriptedClient.run { scripted in
            let first = try await scripted.connected()
            var states = scripted.client.states.makeAsyncIterator()
            #expect(await states.next()?.isConnected == true)
            first.say(.disconnected)
            first.say(.expired)
            #expect(await states.next()?.isSuspended == true)
            let expired = await states.next()
            #expect(expired?.isExpired == true && expired?.session?.epoch == 1)
            let second = try await scripted.transport.connection(2)
            #expect(second.endpoint.session == nil)
            second.connect(session: 2)
            let connected = await states.next()
            #expect(connected?.isConnected == true && connected?.session?.epoch == 2)
        }
    }

    @Test func `requests of an ended session are never sent in the next`() async throws {
        try await ScriptedClient.run { scripted in
            let first = try await scripted.connected()
            let session = try await scripted.client.connectedSession()
            first.say(.disconnected)
            let creating = Task { try await session.send(.create(path: "/own", data: [], mode: .ephemeral)) }
            while scripted.client.core.state.withLock({ $0.requests.waiting.isEmpty }) { await Task.yield() }
            first.say(.expired)
            do {
                _ = try await creating.value
                Issue.record("it was created")
            } catch let error as ZooKeeperError {
                #expect(error.code == .sessionExpired)
                #expect(!error.isOutcomeUnknown)
            }
            let second = try await scripted.transport.connection(2)
            second.connect(session: 2)
            _ = await second.next(where: \.isHeartbeat)
            #expect(second.waiting.isEmpty)
        }
    }

    @Test func `cutting a connection twenty times keeps the session and repeats reads alone`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let hold = try await scripted.held("/own", on: connection)
            for _ in 0..<20 {
                connection.lose()
                scripted.clock.advance(by: .milliseconds(200))
                connection.connect()
                await connection.answerBeat()
                #expect(hold.isValid)
            }
            #expect(scripted.client.session?.epoch == 1)
            #expect(hold.lossReason == nil)
        }
    }

    // MARK: The end

    @Test func `a graceful shutdown finishes requests under way and keeps the session alive meanwhile`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let writing = Task { try await scripted.client.setData([1], at: "/a") }
            let write = await connection.next(where: \.isSetData)
            scripted.client.triggerGracefulShutdown()
            await #expect(throws: ZooKeeperError(.clientStopped)) { try await scripted.client.data(at: "/b") }
            scripted.clock.advance(by: .seconds(3))
            await connection.next(where: \.isHeartbeat).answer(0, .stat(.test()))
            #expect(connection.closed.value == nil)
            write.answer(0, .stat(.test()))
            _ = try await writing.value
            #expect(try await connection.closed.wait() == .endSession)
            for await state in scripted.client.states where state.isClosed { return }
            Issue.record("the end was not told")
        }
    }

    @Test func `what is held is lost when the client stops, before its session is closed`() async throws {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        let connection = try await scripted.connected()
        let hold = try await scripted.held("/own", on: connection)
        let isClosed = OneShot<Bool>()
        hold.onLoss { _ in isClosed.set(connection.closed.value != nil) }
        running.cancel()
        #expect(try await hold.waitForLoss() == .clientStopped)
        #expect(!hold.isValid)
        #expect(isClosed.value == false)
        hold.release()
        try await running.value
        #expect(connection.closed.value == .endSession)
    }

    @Test func `a refused credential ends the client with that error`() async throws {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        let connection = try await scripted.connected()
        connection.say(.authenticationFailed)
        do {
            try await running.value
            Issue.record("it has ended well")
        } catch let error as ZooKeeperError {
            #expect(error.code == .authenticationFailed)
        }
    }

    @Test func `a request to a client that was never run is given up at its deadline`() async throws {
        var configuration = try ZooKeeperClientConfiguration(connectionString: "127.0.0.1:1")
        configuration.retry.timeout = .milliseconds(20)
        let client = try ZooKeeperClient(configuration: configuration)
        let error = await #expect(throws: ZooKeeperError.self) { try await client.exists(at: "/a") }
        #expect(error?.code == .operationTimeout)
        #expect(error?.message?.contains("run()") == true)
    }
}
