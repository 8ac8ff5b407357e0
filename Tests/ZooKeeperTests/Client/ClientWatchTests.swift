import Synchronization
import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// Watches as the client keeps them: told in order, and taken away from the server when nobody waits any more.
@Suite(.timeLimit(.minutes(5)))
struct ClientWatchTests {
    @Test func `the last waiter's end takes a watch away, and only the last one's`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let client = scripted.client
            async let first = client.watchData(at: "/a")
            await connection.next { $0.isRead(of: "/a") }.answer(0, .data([], .test()))
            async let second = client.watchData(at: "/a")
            await connection.next { $0.isRead(of: "/a") }.answer(0, .data([], .test()))
            let (one, other) = (try await first.watch, try await second.watch)
            one.cancel()
            let isRemoved = connection.waiting.contains(where: \.isRemoval)
            #expect(!isRemoved)
            other.cancel()
            await connection.next(where: \.isRemoval).answer(0)
        }
    }

    @Test func `a watch is not taken away behind a read that sets it again`() async throws {
        try await ScriptedClient.run({ $0.maximumRequestsInFlight = 1 }) { scripted in
            let connection = try await scripted.connected()
            let client = scripted.client
            async let first = client.watchData(at: "/a")
            await connection.next { $0.isRead(of: "/a") }.answer(0, .data([], .test()))
            let old = try await first.watch
            async let blocking = client.data(at: "/busy")
            let busy = await connection.next { $0.isRead(of: "/busy") }
            async let second = client.watchData(at: "/a")
            while client.core.state.withLock({ $0.requests.waiting.isEmpty }) { await Task.yield() }
            old.cancel()
            busy.answer(0, .data([], .test()))
            _ = try await blocking
            await connection.next { $0.isRead(of: "/a") }.answer(0, .data([], .test()))
            let watch = try await second.watch
            async let marker = client.data(at: "/marker")
            let request = await connection.next()
            #expect(request.request.isRead(of: "/marker"))
            request.answer(0, .data([], .test()))
            _ = try await marker
            connection.say(.watch(TransportWatchEvent(kind: .dataChanged, path: "/a")))
            #expect(try await watch.event().kind == .dataChanged)
        }
    }

    @Test func `an answer that comes while its request is handed in precedes the event of its watch`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            let session = try await scripted.client.connectedSession()
            let told = Mutex<[String]>([])
            connection.whileSubmitting { [unowned connection] in
                guard let read = connection.taken(where: { $0.isRead(of: "/a") }) else { return }
                read.answer(0, .data([], .test()))
                connection.say(.watch(TransportWatchEvent(kind: .dataChanged, path: "/a")))
            }
            let sink = WatchSink { _ in told.withLock { $0.append("event") } }
            session.post(.data(path: "/a", watch: sink)) { _ in told.withLock { $0.append("answer") } }
            #expect(told.withLock { $0 } == ["answer", "event"])
        }
    }

    @Test func `a watch whose removal was lost with the connection is taken away on the next`() async throws {
        try await ScriptedClient.run { scripted in
            let connection = try await scripted.connected()
            async let watching = scripted.client.watchData(at: "/a")
            await connection.next { $0.isRead(of: "/a") }.answer(0, .data([], .test()))
            try await watching.watch.cancel()
            while !connection.waiting.contains(where: \.isRemoval) { await Task.yield() }
            connection.lose()
            connection.connect()
            await connection.next(where: \.isRemoval).answer(0)
        }
    }

    @Test func `a watch that is set while the client stops has its end told`() async throws {
        let watch = try await watchAnsweredAtClose()
        #expect(try await watch.event().kind == .sessionEnded)
    }

    private func watchAnsweredAtClose() async throws -> Watch {
        let scripted = try ScriptedClient()
        let running = Task { try await scripted.client.run() }
        let connection = try await scripted.connected()
        let watching = Task { try await scripted.client.watchData(at: "/a") }
        while !connection.waiting.contains(where: { $0.isRead(of: "/a") }) { await Task.yield() }
        connection.answerAtClose(0)
        running.cancel()
        return try await watching.value.watch
    }
}
