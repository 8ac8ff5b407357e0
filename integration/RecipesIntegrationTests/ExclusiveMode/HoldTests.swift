import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Holds of an exclusive mode on real servers.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(4)))
struct HoldTests {
    private static func awaitPaused(_ processors: Processor...) async {
        for processor in processors { await processor.awaitState { $0 == .paused } }
    }

    @Test func `processors stay paused until the last of two holds is removed, also one that starts meanwhile`()
        async throws
    {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor("one")
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            #expect(try await mode.hold(reason: "first", id: "ada"))
            try await mode.waitUntilPaused(timeout: .seconds(60))
            await Self.awaitPaused(one)
            #expect(try await mode.hold(reason: "second", id: "bob"))
            let two = try await scene.startProcessor("two")
            await Self.awaitPaused(two)
            let holds = try await mode.holds()
            #expect(holds.map(\.participantID) == ["ada", "bob"] && holds.map(\.reason) == ["first", "second"])
            let status = try await mode.status()
            #expect(status.holds == holds && status.window == nil && status.notPaused.isEmpty)
            // The same owner again: a new reason, and no second hold.
            #expect(try await mode.hold(reason: "third", id: "ada") == false)
            #expect(try await mode.holds().first == ExclusiveHold(holds[0], reason: "third"))

            #expect(try await mode.removeHold("ada"))
            #expect(try await mode.removeHold("ada") == false)
            #expect(try await mode.holds().map(\.participantID) == ["bob"])
            #expect(one.gate.state == .paused && two.gate.state == .paused)
            let before = scene.journal.allEvents.count
            #expect(try await mode.removeHold("bob"))
            await one.awaitOpen()
            await two.awaitOpen()
            #expect(try await mode.holds().isEmpty)
            #expect(scene.journal.allEvents.count >= before)
            #expect(try await scene.admin.children(of: "\(scene.path)/windows").names.isEmpty)
        }
    }

    @Test func `a hold outlives the session of the operator`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let op = try await scene.windowOperator()
            try await op.mode.hold(reason: "test", id: "ada")
            await Self.awaitPaused(one)
            try await scene.server.expireSession(of: op.client)
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            try await mode.waitUntilPaused(timeout: .seconds(60))
            #expect(try await mode.holds().map(\.participantID) == ["ada"])
            #expect(try await mode.removeHold("ada"))
            await one.awaitOpen()
        }
    }

    @Test func `a wait names the processors that have not paused, and the hold remains`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor("one")
            let permit = try await one.gate.enter()
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            let none = await #expect(throws: RecipeError.self) { try await mode.waitUntilPaused() }
            #expect(none?.code == .notFound)
            try await mode.hold(reason: "test", id: "ada")
            let late = await #expect(throws: RecipeError.self) {
                try await mode.waitUntilPaused(timeout: .milliseconds(300))
            }
            #expect(late?.code == .notPaused && late?.participants == ["one"])
            #expect(try await mode.holds().count == 1)
            permit.leave()
            try await mode.waitUntilPaused(timeout: .seconds(60))
            try await mode.removeHold("ada")
            await one.awaitOpen()
        }
    }

    @Test func `a wait ends at its limit without a connection`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor("one")
            let permit = try await one.gate.enter()
            let op = try await scene.windowOperator()
            try await op.mode.hold(reason: "test", id: "ada")
            await op.proxy.refuse()
            await op.proxy.cut()
            let late = await #expect(throws: RecipeError.self) {
                try await op.mode.waitUntilPaused(timeout: .milliseconds(300))
            }
            #expect(late?.code == .notPaused && late?.participants == [])
            // Somebody else removes the hold meanwhile: nothing has paused.
            try await ExclusiveMode(client: scene.admin, path: scene.path).removeHold("ada")
            await op.proxy.accept()
            let none = await #expect(throws: RecipeError.self) {
                try await op.mode.waitUntilPaused(timeout: .seconds(60))
            }
            #expect(none?.code == .notFound)
            permit.leave()
            await one.awaitOpen()
        }
    }

    @Test func `a wait for a hold that has no signal yet ends when the hold is removed`() async throws {
        try await ExclusiveScene.with { scene in
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            let op = try await scene.windowOperator()
            try await mode.hold(reason: "test", id: "ada")
            // As after the crash of a window, until the first gate has found the hold.
            try await scene.admin.delete(scene.signal)
            let reads = Task { try await op.proxy.nextRequest { $0.path == "\(scene.path)/windows/hold-ada" } }
            let wait = Task { try await op.mode.waitUntilPaused() }
            _ = try await reads.value
            try await mode.removeHold("ada")
            let none = await #expect(throws: RecipeError.self) { try await wait.value }
            #expect(none?.code == .notFound)
        }
    }

    @Test func `a hold is shown beside a window that has no record, such as one of Curator`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            try await scene.admin.create(scene.signal, mode: .ephemeral)
            await Self.awaitPaused(one)
            try await mode.hold(reason: "test", id: "ada")
            let status = try await mode.status()
            #expect(status.window != nil && status.holds.map(\.participantID) == ["ada"])
            #expect(try await mode.removeHold("ada"))
            try await scene.admin.delete(scene.signal)
            await one.awaitOpen()
        }
    }

    @Test func `the signal of a hold whose znode was deleted is shown, and removed like the hold`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            try await mode.hold(reason: "test", id: "ada")
            await Self.awaitPaused(one)
            try await scene.admin.delete("\(scene.path)/windows/hold-ada")
            let status = try await mode.status()
            #expect(status.holds.map(\.participantID) == ["ada"] && status.isPauseRequested)
            #expect(try await mode.removeHold("ada") == false)
            #expect(try await mode.status().holds.isEmpty)
            await one.awaitOpen()
        }
    }

    @Test func `the last hold takes a signal along that its owner must not read`() async throws {
        try await ExclusiveScene.with { scene in
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            try await mode.hold(reason: "test", id: "ada")
            let unreadable = ACL(permissions: [.write, .create, .delete, .admin], scheme: "world", id: "anyone")
            try await scene.admin.setACL([unreadable], at: scene.signal)
            #expect(try await mode.removeHold("ada"))
            #expect(try await scene.admin.exists(at: scene.signal) == nil)
        }
    }

    @Test func `windows open during a hold, one after the other, and the processors stay paused`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let (first, second) = (try await scene.windowOperator(), try await scene.windowOperator())
            try await first.mode.hold(reason: "test", id: "ada")
            await Self.awaitPaused(one)
            try await first.window("first") { window in
                let status = try await second.mode.status()
                #expect(status.window?.token == window.fencingToken && status.holds.count == 1)
                #expect(status.crashedWindows.isEmpty)
                let busy = await #expect(throws: RecipeError.self) {
                    try await second.mode.tryWithWindow(reason: "second") { _ in }
                }
                #expect(busy?.code == .notAvailable)
                // The last hold is not removed under a window.
                let late = await #expect(throws: RecipeError.self) {
                    try await second.mode.removeHold("ada", timeout: .milliseconds(200))
                }
                #expect(late?.code == .timedOut)
                try await window.transaction([.create("\(scene.path)-written")])
            }
            try await second.window("second", waits: false) { _ in }
            #expect(one.gate.state == .paused)
            #expect(try await second.mode.recentWindows().map(\.outcome) == [.completed, .completed])
            #expect(try await second.mode.holds().count == 1)
            #expect(try await second.mode.removeHold("ada"))
            await one.awaitOpen(after: try #require(scene.journal.allBodies.last?.token))
            #expect(!one.history.contains(.recovering))
        }
    }

    @Test func `a hold that begins during a window goes on after it`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let op = try await scene.windowOperator()
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            try await op.window { window in
                try await mode.hold(reason: "test", id: "ada")
                #expect(window.isValid)
                #expect(try await mode.status().holds.count == 1)
            }
            // One transaction has replaced the signal.
            let signal = try await scene.admin.data(at: scene.signal)
            #expect(signal.stat.ephemeralOwner == nil)
            try await mode.waitUntilPaused(timeout: .seconds(60))
            #expect(one.history.last != nil && one.gate.state == .paused)
            try await mode.removeHold("ada")
            await one.awaitOpen()
            #expect(!one.history.contains(.recovering))
        }
    }

    @Test func `a hold that begins during a window outlasts the crash of the window`() async throws {
        try await ExclusiveScene.with { scene in
            var configuration = ExclusiveMode.Configuration()
            configuration.resumeDelay = .milliseconds(200)
            let one = try await scene.processor(configuration: configuration)
            let op = try await scene.windowOperator()
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            let (opened, lost) = (Moment(), Moment())
            let window = Task {
                try await op.window { _ in
                    opened.happen()
                    await lost.wait()
                }
            }
            await opened.wait()
            try await mode.hold(reason: "test", id: "ada")
            await op.proxy.hold()
            // The gate creates the signal again, when that of the window has gone with its session.
            while true {
                let (stat, watch) = try await scene.admin.watchExistence(at: scene.signal)
                if let stat, stat.ephemeralOwner == nil {
                    watch.cancel()
                    break
                }
                _ = try await watch.event()
            }
            try await mode.waitUntilPaused(timeout: .seconds(60))
            #expect(!one.history.dropFirst().contains { $0 == .recovering })
            lost.happen()
            _ = await window.result
            await op.proxy.release()
            try await mode.removeHold("ada")
            await one.awaitHistory { $0.last?.isOpen == true && $0.contains(.recovering) }
        }
    }

    @Test func `a processor that knows only the signal and the lock pauses for a hold`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            let op = try await scene.windowOperator()
            // As with Curator: InterProcessReadWriteLock(BASE/locks) and NodeCache(BASE/signal).
            let lock = try DistributedReadWriteLock(client: op.client, path: "\(scene.path)/locks", id: "jvm")
            let cache = try NodeCache(client: op.client, path: scene.signal)
            let follow = Task { try await cache.run() }
            let lease = try await lock.acquireReadLock()
            let paused = Task {
                for await entry in cache.changes where entry.data != nil { break }
                await lease.release()
            }
            try await mode.hold(reason: "test", id: "ada")
            try await mode.waitUntilPaused(timeout: .seconds(60))
            await paused.value
            try await mode.removeHold("ada")
            for await entry in cache.changes where entry.content == .absent { break }
            await one.awaitOpen()
            follow.cancel()
            _ = await follow.result
        }
    }

    @Test func `a restart of the server changes nothing`() async throws {
        try await withTestServer { server in
            let configuration = try ZooKeeperClientConfiguration(
                connectionString: server.connectionString, sessionTimeout: .seconds(20))
            try await withZooKeeperClient(configuration: configuration) { near in
                try await withZooKeeperClient(configuration: configuration) { far in
                    let mode = try ExclusiveMode(client: far, path: "/held")
                    try await ExclusiveMode(client: near, path: "/held").withGate(id: "one") { gate in
                        for await state in gate.states where state.isOpen { break }
                        try await mode.hold(reason: "a restart", id: "ada")
                        for await state in gate.states where state == .paused { break }
                        try await server.restart()
                        let holds = try await mode.holds()
                        #expect(holds.map(\.reason) == ["a restart"])
                        #expect(!gate.state.isOpen)
                        try await mode.withWindow(reason: "after the restart") { _ in #expect(!gate.state.isOpen) }
                        #expect(!gate.state.isOpen)
                        #expect(try await mode.removeHold("ada"))
                        for await state in gate.states where state.isOpen { break }
                    }
                }
            }
        }
    }

    @Test func `requests of an operator`() async throws {
        try await AskedRequests.with { scene, asked in
            let mode = try ExclusiveMode(client: scene.client, path: "/asked")
            try await mode.hold(reason: "test", id: "ada")
            try await mode.removeHold("ada")
            try await asked.forget()
            try await mode.hold(reason: "test", id: "ada")
            #expect(try await asked.all(6) == ["sync", "read", "list", "read", "read", "multi"])
            #expect(try await mode.holds().count == 1)
            #expect(try await asked.all(2) == ["list", "read"])
            try await mode.removeHold("ada")
            #expect(try await asked.all(6) == ["sync", "read", "list", "read", "read", "multi"])
        }
    }
}

extension ExclusiveHold {
    /// A hold with another reason.
    fileprivate init(_ hold: ExclusiveHold, reason: String) {
        self = hold
        self.reason = reason
    }
}
