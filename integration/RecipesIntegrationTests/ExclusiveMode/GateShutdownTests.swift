import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// How a gate ends, at every place where it can be.
@Suite(.zooKeeperServer, .timeLimit(.minutes(2)))
struct GateShutdownTests {
    @Test func `on graceful shutdown the event inside finishes, then the node goes`() async throws {
        try await ExclusiveScene.with { scene in
            let client = try makeTestClient(scene.server.connectionString)
            let gate = try ExclusiveMode(client: client, path: scene.path).gate(id: "graceful")
            let group = ServiceGroup(services: [client, gate], logger: Logger(label: "test"))
            let running = Task { try await group.run() }
            for await state in gate.states where state.isOpen { break }
            let permit = try await gate.enter()
            await group.triggerGracefulShutdown()
            for await state in gate.states where state == .draining { break }
            #expect(try await scene.locks().count == 1)
            #expect(permit.isValid)
            permit.leave()
            try await running.value
            #expect(try await scene.locks().isEmpty)
            #expect(gate.state == .stopped)
            await #expect(throws: RecipeError.self) { try await gate.enter() }
        }
    }

    /// Waits at a gate from a moment on.
    private struct Consumer: Service {
        let gate: EventGate
        let usesSequence: Bool
        let start = Moment()
        let isWaiting = Moment()

        func run() async throws {
            await start.wait()
            isWaiting.happen()
            if usesSequence {
                for try await _ in AsyncStream<Int>.makeStream().stream.gated(by: gate) {}
            } else {
                try await gate.withSynchronousPermit { _ in }
            }
        }
    }

    @Test(arguments: [false, true])
    func `a graceful shutdown does not wait for a window to end`(usesSequence: Bool) async throws {
        try await ExclusiveScene.with { scene in
            let client = try makeTestClient(scene.server.connectionString)
            let gate = try ExclusiveMode(client: client, path: scene.path).gate(id: "shut")
            let consumer = Consumer(gate: gate, usesSequence: usesSequence)
            let group = ServiceGroup(services: [client, gate, consumer], logger: Logger(label: "test"))
            let running = Task { try await group.run() }
            for await state in gate.states where state.isOpen { break }
            let (isOpen, letGo) = (Moment(), Moment())
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            let window = Task {
                try await mode.withWindow(reason: "long") { _ in
                    isOpen.happen()
                    await letGo.wait()
                }
            }
            await isOpen.wait()
            consumer.start.happen()
            await consumer.isWaiting.wait()
            await group.triggerGracefulShutdown()
            // The event that waits is given up, which ends a loop over a sequence and a single call with an error.
            switch await running.result {
            case .success: #expect(usesSequence)
            case .failure(let error): #expect(error is CancellationError && !usesSequence)
            }
            letGo.happen()
            try await window.value
        }
    }

    @Test(arguments: [false, true])
    func `a graceful shutdown does not wait for servers that were never there`(usesSequence: Bool) async throws {
        let client = try makeTestClient("127.0.0.1:1")
        let gate = try ExclusiveMode(client: client, path: "/base").gate(id: "shut")
        let consumer = Consumer(gate: gate, usesSequence: usesSequence)
        let group = ServiceGroup(services: [client, gate, consumer], logger: Logger(label: "test"))
        let running = Task { try await group.run() }
        consumer.start.happen()
        await consumer.isWaiting.wait()
        await group.triggerGracefulShutdown()
        _ = await running.result
        #expect(gate.state == .stopped)
    }

    @Test func `when its client shuts down the gate ends with that error and nothing stands`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            one.client.triggerGracefulShutdown()
            let error = await #expect(throws: ZooKeeperError.self) { try await one.gateTask.value }
            #expect(error?.code == .clientStopped)
            try await scene.locks(where: \.isEmpty)
            #expect(one.gate.tryEnter() == nil)
        }
    }

    @Test func `cancelled, the gate cancels what is inside, waits for it and deletes its node`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            let (began, ended) = (Moment(), Moment())
            let work = Task {
                try await one.gate.withPermit { _ in
                    began.happen()
                    await Moment().wait()
                    ended.happen()
                    return Task.isCancelled
                }
            }
            await began.wait()
            one.gateTask.cancel()
            await ended.wait()
            #expect(try await work.value)
            try await one.gateTask.value
            #expect(try await scene.locks().isEmpty)
            // No processor any more, although its client goes on.
            #expect(try await scene.admin.children(of: "\(scene.path)/members").names.isEmpty)
            #expect(try await ExclusiveMode(client: scene.admin, path: scene.path).status().processors.isEmpty)
        }
    }

    @Test func `a gate that has ended leaves no watch behind`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor()
            one.proxy.clearRequests()
            one.gateTask.cancel()
            try await one.gateTask.value
            _ = try await one.client.exists(at: "/")
            try await one.proxy.nextRequest { $0.operation == .removeWatches && $0.path == scene.signal }
        }
    }

    @Test func `stopped while the server is away, the gate ends all the same`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(30))
            await one.proxy.refuse()
            await one.proxy.cut()
            for await state in one.client.states where !state.isConnected { break }
            one.gateTask.cancel()
            try await one.gateTask.value
            #expect(one.gate.state == .stopped)
            #expect(try await scene.locks().count == 1)
            await one.proxy.accept()
            try await scene.locks(where: \.isEmpty)
        }
    }

    @Test func `stopped in a pause that the ensemble's absence has made endless, the gate ends`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(30))
            let permit = try await one.gate.enter()
            try await scene.admin.create(scene.signal)
            await one.awaitState { $0 == .draining }
            await one.proxy.refuse()
            await one.proxy.cut()
            for await state in one.client.states where !state.isConnected { break }
            permit.leave()
            one.gateTask.cancel()
            try await one.gateTask.value
            try await scene.admin.delete(scene.signal)
        }
    }

    @Test func `stopped while it recovers from a crash, the gate does not wait`() async throws {
        try await ExclusiveScene.with { scene in
            var configuration = ExclusiveMode.Configuration()
            configuration.resumeDelay = .seconds(3600)
            let one = try await scene.processor(configuration: configuration)
            try await scene.crashWindow()
            await one.awaitState { $0 == .recovering }
            try await scene.awaitActivity(.recovering)
            one.gateTask.cancel()
            try await one.gateTask.value
            #expect(try await scene.locks().isEmpty)
        }
    }
}

extension ExclusiveScene {
    /// Waits until operators see the one processor do something.
    func awaitActivity(_ activity: ExclusiveStatus.Processor.Activity) async throws {
        let mode = try ExclusiveMode(client: admin, path: path)
        while try await mode.status().processors.map(\.activity) != [activity] { try Task.checkCancellation() }
    }

    /// Opens a window whose operator is gone before it could end it.
    func crashWindow() async throws {
        let crashing = try await windowOperator(timeout: .seconds(20))
        let began = Moment()
        let window = Task {
            try await crashing.window("crash") { _ in
                began.happen()
                await Moment().wait()
            }
        }
        await began.wait()
        try await server.expireSession(of: crashing.client)
        let error = await #expect(throws: RecipeError.self) { try await window.value }
        #expect(error?.code == .lost)
    }
}
