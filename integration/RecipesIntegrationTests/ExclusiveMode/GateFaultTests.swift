import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What happens to an open gate, fault by fault, seen from the processor.
@Suite(.zooKeeperServer, .timeLimit(.minutes(2)))
struct GateFaultTests {
    @Test func `twenty short cuts move nothing`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(10))
            let token = await one.awaitOpen()
            one.proxy.clearRequests()
            for count in 2..<22 {
                await one.proxy.cut()
                try await one.proxy.waitForConnections(count)
                try await one.proxy.nextRequest { $0.operation == .setWatches }
            }
            #expect(await one.awaitOpen() == token)
            #expect(try await one.nodes(in: scene).count == 1)
            #expect(one.history.drop { $0 == .starting } == [.open(token)])
            try #require(one.gate.tryEnter()).leave()
        }
    }

    @Test func `a gate that is silently cut off closes before its node can go, and joins again`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(2))
            let token = await one.awaitOpen()
            let node = try #require(try await one.nodes(in: scene).first)
            let deletion = Task { try await scene.awaitDeletion(of: node) }
            let permit = try await one.gate.enter()
            await one.proxy.hold()
            await one.awaitState { $0 == .lost(.deadlinePassed) }
            #expect(!permit.isValid)
            #expect(one.gate.tryEnter() == nil)
            permit.leave()
            #expect(try await scene.admin.exists(at: node) != nil)
            let gone = try await deletion.value
            let last = try #require(scene.journal.allEvents.last)
            #expect(last.end < gone)
            await one.proxy.release()
            #expect(await one.awaitOpen(after: token) > token)
            #expect(try await one.nodes(in: scene).count == 1)
        }
    }

    @Test func `operators see that a gate waits after a crash, and that it runs again`() async throws {
        try await ExclusiveScene.with { scene in
            var configuration = ExclusiveMode.Configuration()
            configuration.resumeDelay = .seconds(4)
            let one = try await scene.processor(configuration: configuration)
            try await scene.crashWindow()
            try await scene.awaitActivity(.recovering)
            await one.awaitState { $0.isOpen }
            try await scene.awaitActivity(.running)
        }
    }

    @Test func `with its session expired the gate opens in a new one`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let token = await one.awaitOpen()
            let epoch = one.client.session?.epoch
            try await scene.server.expireSession(of: one.client)
            #expect(await one.awaitOpen(after: token) > token)
            #expect(one.client.session?.epoch != epoch)
            #expect(try await one.nodes(in: scene).count == 1)
        }
    }

    @Test func `with its node deleted by somebody the gate is lost at once and joins again`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(30))
            let token = await one.awaitOpen()
            try await scene.admin.delete(try #require(try await one.nodes(in: scene).first))
            #expect(await one.awaitOpen(after: token) > token)
            #expect(one.history.contains(.lost(.znodeDeleted)))
            #expect(try await one.nodes(in: scene).count == 1)
        }
    }

    @Test func `a server that is away at the start is waited for`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.startProcessor(refused: true)
            #expect(one.gate.state == .starting)
            #expect(one.gate.tryEnter() == nil)
            await one.proxy.accept()
            await one.awaitOpen()
        }
    }

    @Test func `without rights the gate ends with that error, and so does a window`() async throws {
        try await ExclusiveScene.with { scene in
            try await scene.createStructure()
            let readers = ACL(permissions: .read, scheme: "world", id: "anyone")
            try await scene.admin.setACL([readers], at: "\(scene.path)/locks")
            let one = try await scene.startProcessor()
            let error = await #expect(throws: ZooKeeperError.self) { try await one.gateTask.value }
            #expect(error?.code == .noAuth)
            #expect(one.gate.state == .stopped)
            let two = try await scene.windowOperator()
            let refusal = await #expect(throws: ZooKeeperError.self) { try await two.window { _ in } }
            #expect(refusal?.code == .noAuth)
            #expect(try await scene.admin.exists(at: scene.signal) == nil)
        }
    }

    @Test func `a create whose answer was lost leaves one node`() async throws {
        try await ExclusiveScene.with { scene in
            try await scene.createStructure()
            let one = try await scene.startProcessor(refused: true)
            await one.proxy.dropNextReply(thenCut: true) { $0.isCreate && $0.path?.contains("__READ__") == true }
            await one.proxy.accept()
            try await one.proxy.nextDropped()
            await one.awaitOpen()
            try await scene.locks { $0.count == 1 }
            #expect(try await one.nodes(in: scene).count == 1)
        }
    }
}
