import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What happens to a window, fault by fault, seen from the operator.
@Suite(.zooKeeperServer, .timeLimit(.minutes(2)))
struct WindowFaultTests {
    @Test func `a connection that is lost and comes back within the deadline ends nothing`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            let op = try await scene.windowOperator()
            try await op.window { window in
                await op.proxy.cut()
                // Repeated until it is answered on the next connection.
                _ = try await op.client.exists(at: "/")
                #expect(window.isValid)
                try Task.checkCancellation()
            }
            await one.awaitOpen(after: token)
            #expect(try await op.mode.recentWindows().map(\.outcome) == [.completed])
        }
    }

    @Test func `a window that is silently cut off is lost before its signal can go`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            let op = try await scene.windowOperator(timeout: .seconds(2))
            let ended = Moment()
            let lost = Task {
                try await op.window { window in
                    await op.proxy.hold()
                    await Moment().wait()
                    #expect(Task.isCancelled)
                    #expect(!window.isValid)
                    ended.happen()
                }
            }
            await ended.wait()
            #expect(try await scene.admin.exists(at: scene.signal) != nil)
            #expect(!one.gate.state.isOpen)
            await op.proxy.release()
            let error = await #expect(throws: RecipeError.self) { try await lost.value }
            #expect(error?.code == .lost)
            #expect(error?.lossReason == .deadlinePassed)
            try await scene.awaitSignal(stands: false)
            #expect(one.gate.state == .paused || one.gate.state == .recovering || one.gate.state.isOpen)
            _ = token
        }
    }

    @Test func `with its session expired the body is cancelled, awaited, and the window lost`() async throws {
        try await ExclusiveScene.with { scene in
            let op = try await scene.windowOperator()
            let (began, cancelled, mayEnd, ended) = (Moment(), Moment(), Moment(), Moment())
            let window = Task {
                try await op.window { _ in
                    began.happen()
                    await Moment().wait()
                    cancelled.happen()
                    await Task { await mayEnd.wait() }.value
                    ended.happen()
                }
            }
            await began.wait()
            try await scene.server.expireSession(of: op.client)
            await cancelled.wait()
            mayEnd.happen()
            let error = await #expect(throws: RecipeError.self) { try await window.value }
            await ended.wait()
            #expect(error?.code == .lost)
            // What it hears of first.
            #expect(error?.lossReason == .sessionEnded || error?.lossReason == .znodeDeleted)
            #expect(try await op.mode.status().window == nil)
        }
    }

    @Test(arguments: ["signal", "write"])
    func `with a node deleted by somebody the body is cancelled at once and nothing is left`(
        which: String
    ) async throws {
        try await ExclusiveScene.with { scene in
            var configuration = ExclusiveMode.Configuration()
            configuration.resumeDelay = .milliseconds(50)
            let one = try await scene.processor(timeout: .seconds(30), configuration: configuration)
            let token = await one.awaitOpen()
            let op = try await scene.windowOperator(timeout: .seconds(30))
            let error = await #expect(throws: RecipeError.self) {
                try await op.window { _ in
                    let write = try #require(try await scene.locks().first { $0.kind == .write })
                    let node = which == "signal" ? scene.signal : "\(scene.path)/locks/\(write)"
                    try await scene.admin.delete(node)
                    await Moment().wait()
                }
            }
            #expect(error?.code == .lost)
            #expect(error?.lossReason == .znodeDeleted)
            await one.awaitOpen(after: token)
            #expect(try await scene.admin.exists(at: scene.signal) == nil)
            #expect(try await scene.locks().map(\.kind) == [.read])
        }
    }

    @Test func `cancelled while its body runs, a window awaits it and leaves nothing`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            let op = try await scene.windowOperator()
            let (began, ended) = (Moment(), Moment())
            let window = Task {
                try await op.window { _ in
                    began.happen()
                    await Moment().wait()
                    ended.happen()
                    try Task.checkCancellation()
                }
            }
            await began.wait()
            window.cancel()
            await #expect(throws: CancellationError.self) { try await window.value }
            await ended.wait()
            #expect(try await scene.admin.exists(at: scene.signal) == nil)
            await one.awaitOpen(after: token)
            #expect(!one.history.contains(.recovering))
            #expect(try await op.mode.recentWindows().map(\.outcome) == [.failed])
        }
    }

    @Test func `cancelled while it waits for another window, it has left nothing`() async throws {
        try await ExclusiveScene.with { scene in
            let (first, second) = (try await scene.windowOperator(), try await scene.windowOperator())
            try await first.window { _ in
                let waiting = Task { try await second.window { _ in Issue.record("two windows") } }
                try await second.proxy.nextRequest { $0.operation == .exists && $0.path == scene.signal }
                waiting.cancel()
                await #expect(throws: CancellationError.self) { try await waiting.value }
                #expect(try await scene.locks().count == 1)
            }
            #expect(try await scene.admin.exists(at: scene.signal) == nil)
            #expect(try await scene.locks().isEmpty)
        }
    }

    @Test(arguments: [true, false])
    func `a request whose answer was lost leaves no orphan and the window opens`(waits: Bool) async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            let op = try await scene.windowOperator()
            await op.proxy.dropNextReply(thenCut: true) { $0.operation == .multi }
            let contenders = try await op.window(waits: waits) { _ in try await scene.locks() }
            let write = try #require(contenders.first { $0.kind == .write })
            // A reader that came in behind may be about to leave again.
            #expect(!contenders.contains { $0.isBefore(write) })
            #expect(contenders.filter { $0.kind == .write }.count == 1)
            await one.awaitOpen(after: token)
            #expect(try await scene.admin.exists(at: scene.signal) == nil)
            #expect(try await scene.locks().count == 1)
        }
    }

    @Test func `an end whose answer was lost is an end, with its record`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            let op = try await scene.windowOperator()
            try await op.window { _ in
                await op.proxy.dropNextReply(thenCut: true) { $0.operation == .multi }
            }
            await one.awaitOpen(after: token)
            #expect(try await op.mode.recentWindows().map(\.outcome) == [.completed])
            #expect(try await scene.admin.exists(at: scene.signal) == nil)
        }
    }

    @Test func `an end that never reached the ensemble is repeated with its record`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            let op = try await scene.windowOperator(timeout: .seconds(20))
            try await op.window { _ in
                await op.proxy.dropNextRequest(thenCut: true) { $0.operation == .multi }
            }
            await one.awaitOpen(after: token)
            #expect(!one.history.contains(.recovering))
            #expect(try await op.mode.recentWindows().map(\.outcome) == [.completed])
        }
    }

    @Test func `giving up in time does not wait for a connection`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            let permit = try await one.gate.enter()
            let op = try await scene.windowOperator(timeout: .seconds(30))
            let node = try #require(try await one.nodes(in: scene).first)
            let window = Task {
                try await op.window(drain: .abort(after: .seconds(1))) { _ in Issue.record("the body ran") }
            }
            try await op.proxy.nextRequest { $0.operation == .getData && $0.path == node }
            await op.proxy.refuse()
            await op.proxy.cut()
            for await state in op.client.states where !state.isConnected { break }
            let error = await #expect(throws: RecipeError.self) { try await window.value }
            #expect(error?.code == .notPaused)
            #expect(error?.participants.count == 1)
            #expect(!op.client.state.isConnected)
            permit.leave()
            await op.proxy.accept()
            await one.awaitOpen(after: token)
            #expect(try await scene.locks().map(\.kind) == [.read])
        }
    }
}
