import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Windows among others: other operators, slow and cut off processors, peers in other languages.
@Suite(.zooKeeperServer, .timeLimit(.minutes(2)))
struct WindowPeersTests {
    @Test func `a session lost during the delay does not shorten it`() async throws {
        try await ExclusiveScene.with { scene in
            var configuration = ExclusiveMode.Configuration()
            configuration.resumeDelay = .seconds(3600)
            let one = try await scene.processor(configuration: configuration)
            try await scene.crashWindow()
            await one.awaitState { $0 == .recovering }
            try await scene.server.expireSession(of: one.client)
            await one.awaitHistory { history in
                // The znode's deletion may be reported before the session's end, and its deadline may pass before that.
                let losses: [GateState] = [.lost(.sessionEnded), .lost(.znodeDeleted), .lost(.deadlinePassed)]
                guard let loss = history.firstIndex(where: losses.contains) else { return false }
                return history[loss...].contains { $0 == .recovering || $0.isOpen }
            }
            #expect(one.gate.state == .recovering)
        }
    }

    @Test func `a processor that is frozen loses its place, and the window waits for its deadline`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(3))
            let op = try await scene.windowOperator()
            let permit = try await one.gate.enter()
            await one.proxy.hold()
            try await op.window(drain: .evict(after: .milliseconds(100))) { window in
                #expect(window.evicted == ["one"])
                #expect(!permit.isValid)
                #expect(permit.fencingToken < window.fencingToken)
            }
            permit.leave()
            await one.proxy.release()
            await one.awaitOpen(after: scene.journal.allBodies[0].token)
            let record = try #require(try await op.mode.recentWindows().last)
            #expect(record.evicted == ["one"])
            #expect(record.outcome == .completed)
        }
    }

    @Test func `the wait for another window has a limit, and leaves nothing`() async throws {
        try await ExclusiveScene.with { scene in
            let (one, two) = (try await scene.windowOperator(), try await scene.windowOperator())
            try await one.mode.withWindow(id: "billing", reason: "first") { window in
                let status = try await two.mode.status()
                #expect(status.window?.participantID == "billing")
                let late = await #expect(throws: RecipeError.self) {
                    try await two.mode.withWindow(reason: "second", timeout: .milliseconds(200)) { _ in }
                }
                #expect(late?.code == .timedOut)
                let busy = await #expect(throws: RecipeError.self) {
                    try await two.mode.tryWithWindow(reason: "second") { _ in }
                }
                #expect(busy?.code == .notAvailable && busy?.participants == ["billing"])
                let locks = try await scene.locks()
                #expect(locks.count == 1)
                #expect(window.isValid)
            }
            #expect(try await two.mode.recentWindows().map(\.participantID) == ["billing"])
            try await two.mode.withWindow(reason: "second", timeout: .seconds(10)) { _ in }
        }
    }

    @Test func `a signal that may not be read is somebody's window all the same`() async throws {
        try await ExclusiveScene.with { scene in
            try await scene.createStructure()
            let op = try await scene.windowOperator()
            let writers = ACL(permissions: [.delete, .write], scheme: "world", id: "anyone")
            try await scene.admin.create(scene.signal, mode: .ephemeral, acl: [writers])
            let error = await #expect(throws: RecipeError.self) {
                try await op.window(waits: false) { _ in }
            }
            #expect(error?.code == .notAvailable)
            #expect(error?.participants == ["unknown"])
        }
    }

    @Test func `a read lock of another language is waited for and shown by its znode`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let base = "\(scene.path)/locks/_c_6e1b2f38-9d7a-4c55-8a10-0123456789ab-__READ__"
            let foreign = try await scene.admin.create(base, data: Array("10.0.0.7".utf8), mode: .ephemeralSequential)
            let name = String(foreign.path.split(separator: "/").last ?? "")
            #expect(try await scene.windowOperator().mode.status().processors.map(\.id).contains(name))
            let op = try await scene.windowOperator()
            let error = await #expect(throws: RecipeError.self) {
                try await op.window(drain: .abort(after: .milliseconds(300))) { _ in }
            }
            #expect(error?.participants == [name])
            await one.awaitState(\.isOpen)
            let window = Task { try await op.window { $0.processors } }
            await one.awaitState { $0 == .paused }
            try await scene.locks { $0.filter { $0.kind == .read }.count == 1 }
            #expect(try await op.mode.status().notPaused.map(\.id) == [name])
            try await scene.admin.delete(foreign.path)
            #expect(try await window.value == [name, "one"].sorted())
        }
    }

    @Test func `a signal of another language pauses, and its end resumes without a delay`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            try await scene.admin.create(scene.signal, data: Array("10.0.0.7".utf8), mode: .ephemeral)
            try await scene.locks(where: \.isEmpty)
            await one.awaitState { $0 == .paused }
            #expect(try await scene.windowOperator().mode.status().window?.participantID == "unknown")
            try await scene.admin.delete(scene.signal)
            await one.awaitOpen(after: token)
            #expect(!one.history.contains(.recovering))
        }
    }

    @Test func `the records of the last twenty windows are kept`() async throws {
        try await ExclusiveScene.with { scene in
            let op = try await scene.windowOperator()
            for number in 0..<23 { try await op.window("window \(number)") { _ in } }
            let records = try await op.mode.recentWindows()
            #expect(records.map(\.reason) == (3..<23).map { "window \($0)" })
            #expect(records.map(\.token) == records.map(\.token).sorted())
        }
    }
}
