import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.6: the signal, the window and the gates of the exclusive mode.
extension HazardTests {
    @Test func `S1 a reader that comes between a signal and its window leaves again`() async throws {
        try await ExclusiveScene.with { scene in
            try await scene.createStructure()
            try await scene.admin.create(scene.signal, mode: .ephemeral)
            let one = try await scene.startProcessor()
            await one.awaitState { $0 == .paused }
            #expect(try await scene.locks().isEmpty)
            #expect(one.gate.tryEnter() == nil)
            try await scene.admin.delete(scene.signal)
            await one.awaitOpen()
            #expect(!one.history.contains(.recovering))
        }
    }

    @Test func `S2 after a crash processors resume with a delay, after a normal end without`() async throws {
        try await ExclusiveScene.with { scene in
            var configuration = ExclusiveMode.Configuration()
            configuration.resumeDelay = .seconds(1)
            let one = try await scene.processor(configuration: configuration)
            var token = await one.awaitOpen()
            let op = try await scene.windowOperator()
            try await op.window { _ in }
            token = await one.awaitOpen(after: token)
            #expect(!one.history.contains(.recovering))

            let crash = Task { try await scene.crashWindow() }
            try await scene.awaitSignal(stands: true)
            let gone = Task { try await scene.awaitDeletion(of: scene.signal) }
            try await crash.value
            let permit = try await one.gate.enter()
            let delay = ContinuousClock.now - (try await gone.value)
            #expect(permit.fencingToken > token)
            #expect(delay > .milliseconds(900))
            permit.leave()
            #expect(one.history.contains(.recovering))
        }
    }

    @Test func `S3 a processor that does not pause is named, and all resume`() async throws {
        try await withTestServer { server in
            try await withProcessors(2, connection: server.connectionString) { processors, mode in
                let permit = try await processors[1].gate.enter()
                do {
                    _ = try await mode.withWindow(reason: "early", drain: .abort(after: .milliseconds(300))) { _ in
                        Issue.record("the operation ran although an event was inside")
                    }
                    Issue.record("the window opened")
                } catch let error as RecipeError {
                    #expect(error.code == .notPaused)
                    #expect(error.participants.count == 1)
                    #expect(error.participants.first?.hasPrefix("processor-1") == true)
                }
                permit.leave()
                for processor in processors { await processor.awaitState(\.isOpen) }
                #expect(try await mode.recentWindows().map(\.outcome) == [.aborted])
            }
        }
    }

    @Test func `S4 a processor that is cut off holds the window until its session ends`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(2))
            let op = try await scene.windowOperator()
            let node = try #require(try await one.nodes(in: scene).first)
            let gone = Task { try await scene.awaitDeletion(of: node) }
            await one.proxy.hold()
            let standing = try await op.window { window in
                #expect(window.slowestProcessor == "one")
                return try await scene.admin.exists(at: node)
            }
            #expect(standing == nil)
            _ = try await gone.value
            await one.proxy.release()
            await one.awaitOpen(after: scene.journal.allBodies[0].token)
        }
    }

    @Test func `S5 a processor with a new session stays out until the signal has gone`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            try await scene.admin.create(scene.signal, mode: .ephemeral)
            await one.awaitState { $0 == .paused }
            let epoch = one.client.session?.epoch
            let openings = one.history.filter(\.isOpen).count
            try await scene.server.expireSession(of: one.client)
            await one.awaitHistory { history in history.filter { $0 == .paused }.count == 2 }
            #expect(one.client.session?.epoch != epoch)
            #expect(one.history.filter(\.isOpen).count == openings)
            try await scene.admin.delete(scene.signal)
            await one.awaitOpen(after: token)
        }
    }

    @Test func `S6 of two operators the second waits, or fails with the first one's name`() async throws {
        try await ExclusiveScene.with { scene in
            let (first, second) = (try await scene.windowOperator(), try await scene.windowOperator())
            let waiting = try await first.window { _ in
                let error = await #expect(throws: RecipeError.self) {
                    try await second.window(waits: false) { _ in Issue.record("two windows") }
                }
                #expect(error?.code == .notAvailable)
                let owner = try await first.mode.status().window?.participantID
                #expect(error?.participants.first == owner)
                let waiting = Task { try await second.window("second") { $0.fencingToken } }
                try await second.proxy.nextRequest { $0.operation == .exists && $0.path == scene.signal }
                return waiting
            }
            let token = try await waiting.value
            let bodies = scene.journal.allBodies
            #expect(bodies.map(\.name) == ["test", "second"])
            #expect(bodies[0].end <= bodies[1].begin)
            #expect(bodies[0].token < token)
        }
    }

    @Test func `S7 twenty processors resume together, at a cost that does not grow with their number`() async throws {
        try await withTestServer { server in
            try await withProcessors(20, connection: server.connectionString) { processors, mode in
                let before = try await server.counters().packetsReceived
                let token = try await mode.withWindow(reason: "herd") { window in
                    #expect(window.processors.count == 20)
                    return window.fencingToken
                }
                for processor in processors {
                    await processor.awaitState { if case .open(let own) = $0 { own > token } else { false } }
                }
                // Six of the processor, one look of the window; the rest is the window's own and proofs.
                #expect(try await server.counters().packetsReceived - before < 20 * 10)
            }
        }
    }

    @Test func `S8 cancelled while it waits for processors, a window leaves nothing`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let permit = try await one.gate.enter()
            let op = try await scene.windowOperator()
            let node = try #require(try await one.nodes(in: scene).first)
            let window = Task { try await op.window { _ in Issue.record("the body ran") } }
            try await op.proxy.nextRequest { $0.operation == .getData && $0.path == node }
            window.cancel()
            await #expect(throws: CancellationError.self) { try await window.value }
            #expect(try await scene.admin.exists(at: scene.signal) == nil)
            #expect(try await scene.locks().map(\.kind) == [.read])
            permit.leave()
            // With the znode of before, or with a new one if it had paused by then.
            await one.awaitState(\.isOpen)
            #expect(try await op.mode.recentWindows().map(\.outcome) == [.aborted])
        }
    }

    @Test func `S9 gates and tasks of one process share a session, each gate with one node`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let second = one.gate.mode.gate(id: "second")
            let running = Task { try await second.run() }
            for await state in second.states where state.isOpen { break }
            #expect(try await scene.locks().count == 2)
            let worker = try await scene.windowOperator()
            let inside = try await withThrowingTaskGroup(of: FencingToken.self) { group in
                for gate in [one.gate, second] {
                    for _ in 0..<50 { group.addTask { try await gate.withSynchronousPermit { $0.fencingToken } } }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(inside.count == 2)
            try await worker.window { window in
                #expect(window.processors == ["one", "second"])
                #expect(second.tryEnter() == nil)
            }
            for await state in second.states where state.isOpen { break }
            running.cancel()
            try await running.value
            #expect(try await one.nodes(in: scene).count == 1)
            #expect(try await scene.locks().count == 1)
        }
    }

    @Test func `S10 a million events send nothing but heartbeats`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(6))
            // The member is registered with the first opening, and the own znode is watched up to a second after it.
            try await one.proxy.nextRequest { $0.operation == .getData && $0.path?.contains("__READ__") == true }
            _ = try await one.client.exists(at: "/marker")
            try await one.proxy.nextRequest { $0.path == "/marker" }
            one.proxy.clearRequests()
            var entered = 0
            while entered < 1_000_000 {
                guard let permit = one.gate.tryEnter() else { continue }
                permit.leave()
                entered += 1
            }
            _ = try await one.client.exists(at: "/marker")
            var requests: [ProxiedRequest.Operation] = []
            while true {
                let request = try await one.proxy.nextRequest { _ in true }
                if request.path == "/marker" { break }
                requests.append(request.operation)
            }
            // The C client pings by itself when a machine is too busy for a heartbeat in time.
            #expect(requests.filter { ![.sync, .multi, .ping].contains($0) } == [])
            print("1,000,000 events, \(requests.count { $0 == .multi }) proofs")
        }
    }
}
