import Simulations
import Synchronization
import Testing
import ZooKeeperSimulator

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// Windows that end before every processor has paused, while one event inside takes long.
@Suite struct GivenUpWindowTests {
    /// How somebody stops to want a window.
    enum End: CaseIterable { case abort, cancellation, kill, deletedSignal }

    @Test(arguments: End.allCases)
    func `a gate with a long event inside admits others again when the window was given up`(end: End) async throws {
        let admitted = try await onSimulationThread {
            let scene = try ExclusiveScene(end == .deletedSignal ? .seconds(30) : .seconds(6))
            let processor = try scene.startProcessor(longEvent: .seconds(60))
            scene.run(.seconds(2))
            let windowOperator = try scene.startOperator(drain: end == .abort ? .abort(after: .seconds(1)) : .wait)
            scene.run(.seconds(1))
            let shut = scene.simulation.now
            switch end {
            case .abort: break
            case .cancellation: windowOperator.cancel()
            case .kill: windowOperator.kill()
            case .deletedSignal:
                let admin = try scene.start("admin") { client in try await client.delete("/mode/signal") }
                scene.run(.milliseconds(100))
                try #require(!admin.isRunning)
            }
            // A killed operator's session expires first.
            scene.run(end == .kill ? .seconds(9) : .seconds(2))
            let reopened = scene.simulation.now
            scene.run(.seconds(5))
            try #require(processor.isRunning && scene.opened.all.isEmpty)
            return (
                between: scene.admitted(from: shut - .milliseconds(500), to: shut),
                after: scene.admitted(from: reopened, to: .distantFuture), tokens: Set(scene.tokens.current)
            )
        }
        #expect(admitted.between == 0)
        #expect(admitted.after > 200)
        #expect(admitted.tokens.count == 1)
    }

    @Test func `a window that comes after one that was given up waits for the long event`() async throws {
        let (opened, longEnded, admitted) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor(longEvent: .seconds(30))
            scene.run(.seconds(2))
            for _ in 0..<3 {
                _ = try scene.startOperator(drain: .abort(after: .milliseconds(400)))
                scene.run(.seconds(2))
            }
            let asked = scene.simulation.now
            _ = try scene.startOperator(drain: .wait)
            scene.run(.seconds(40))
            return (
                scene.opened.all, try #require(scene.longEnded.all.first),
                scene.admitted(from: asked + .milliseconds(500), to: try #require(scene.opened.all.first))
            )
        }
        #expect(opened.count == 1)
        #expect(longEnded < opened[0])
        #expect(admitted == 0)
    }

    @Test func `a signal that is created again at once keeps the gate shut`() async throws {
        let (before, after) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor(longEvent: .seconds(60))
            scene.run(.seconds(2))
            // Deleted and created in one transaction, or one after the other: nobody could open in between.
            _ = try scene.start("admin") { client in
                let clock = client.clock
                try await client.create("/mode/signal", mode: .ephemeral)
                for round in 0..<10 {
                    try await clock.sleep(until: clock.now + .milliseconds(300))
                    if round.isMultiple(of: 2) {
                        try await client.transaction([
                            .delete("/mode/signal"), .create("/mode/signal", mode: .ephemeral),
                        ])
                    } else {
                        let session = try await client.connectedSession()
                        _ = try await session.sendAll(
                            .delete(path: "/mode/signal"), .create(path: "/mode/signal", data: [], mode: .ephemeral))
                    }
                }
                try await clock.sleep(until: clock.now + .milliseconds(300))
                try await client.delete("/mode/signal")
                try await clock.sleep(until: clock.now + .seconds(60))
            }
            let asked = scene.simulation.now
            scene.run(.milliseconds(3200))
            let before = scene.admitted(from: asked + .milliseconds(200), to: scene.simulation.now)
            scene.run(.seconds(1))
            let reopened = scene.simulation.now
            scene.run(.seconds(1))
            return (before, scene.admitted(from: reopened, to: .distantFuture))
        }
        // A look between the two requests of a pair may find no signal; the watch shuts the gate a moment later.
        #expect(before < 10)
        #expect(after > 40)
    }

    @Test func `the status shows what a gate reports of itself`() async throws {
        let statuses = try await onSimulationThread {
            let scene = try ExclusiveScene()
            let statuses = Broadcast<[ExclusiveStatus]>([])
            _ = try scene.startProcessor(longEvent: .seconds(60))
            _ = try scene.start("observer") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                for _ in 0..<12 {
                    try await client.clock.sleep(until: client.clock.now + .seconds(1))
                    statuses.send(statuses.current + [try await mode.status()])
                }
            }
            scene.run(.milliseconds(2500))
            _ = try scene.startOperator(drain: .abort(after: .seconds(4)))
            scene.run(.seconds(15))
            return statuses.current
        }
        try #require(statuses.count == 12 && statuses.allSatisfy { $0.processors.count == 1 })
        #expect(statuses[1].processors[0].activity == .running)
        guard case .draining(inside: 1, let oldest?) = statuses[4].processors[0].activity else {
            Issue.record("\(statuses[4])")
            return
        }
        #expect(oldest > .seconds(2))
        #expect(statuses[4].notPaused.count == 1)
        guard case .reopened(inside: 1, let age?) = statuses[8].processors[0].activity else {
            Issue.record("\(statuses[8])")
            return
        }
        #expect(age > .seconds(5))
        #expect(statuses[8].window == nil && statuses[8].notPaused.isEmpty)
    }

    // MARK: What is left behind

    @Test(arguments: End.allCases.filter { $0 != .kill })
    func `a window that has ended watches nobody`(end: End) async throws {
        let watches = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor(longEvent: .seconds(60))
            scene.run(.seconds(2))
            let watches = Broadcast<Int?>(nil)
            _ = try scene.start("operator") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                let window = Task {
                    let drain: DrainPolicy = end == .abort ? .abort(after: .seconds(1)) : .wait
                    try await mode.withWindow(reason: "given up", drain: drain) { _ -> Void in
                        Issue.record("the window opened")
                    }
                }
                try await client.clock.sleep(until: client.clock.now + .seconds(1))
                if end == .cancellation { window.cancel() }
                if end == .deletedSignal { try await client.delete("/mode/signal") }
                _ = await window.result
                try await client.clock.sleep(until: client.clock.now + .seconds(1))
                watches.send(client.core.state.withLock { $0.watches.count })
            }
            scene.run(.seconds(10))
            return watches.current
        }
        #expect(watches == 0)
    }

    @Test func `a gate that was lost again and again keeps one watch on the signal and one on its znode`() async throws
    {
        let watches = try await onSimulationThread {
            let scene = try ExclusiveScene()
            let watches = Broadcast<Int?>(nil)
            _ = try scene.start("processor") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                let gate = mode.gate(id: "processor")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    defer { group.cancelAll() }
                    group.addTask { try await gate.run() }
                    for _ in 0..<20 {
                        for await state in gate.states where state.isOpen { break }
                        for name in try await client.children(of: "/mode/locks").names {
                            try await client.delete("/mode/locks/\(name)")
                        }
                        for await state in gate.states where !state.isOpen { break }
                    }
                    for await state in gate.states where state.isOpen { break }
                    try await client.clock.sleep(until: client.clock.now + .seconds(1))
                    watches.send(client.core.state.withLock { $0.watches.count })
                }
            }
            scene.run(.seconds(60))
            return watches.current
        }
        #expect(watches == 2)
    }

    @Test func `what a window held is not kept in memory`() async throws {
        let kept = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor(longEvent: .milliseconds(1))
            let kept = Broadcast<[Int]>([])
            _ = try scene.start("operator") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                try await client.clock.sleep(until: client.clock.now + .seconds(1))
                let nodes = WeakNodes()
                for _ in 0..<20 {
                    // A result that holds its window.
                    _ = try await mode.withWindow(reason: "held") { window in
                        nodes.add(window.holding.nodes[0])
                        nodes.add(window.holding.nodes[1])
                        return window
                    }
                }
                try await client.clock.sleep(until: client.clock.now + .seconds(1))
                kept.send([nodes.added, nodes.living])
            }
            scene.run(.seconds(120))
            return kept.current
        }
        #expect(kept == [40, 0])
    }

    // MARK: Watches that are refused

    @Test func `a gate that may not watch the signal tries again with pauses, and opens when it may`() async throws {
        let (steps, isOpen) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            let state = Broadcast<GateState>(.starting)
            _ = try scene.start("processor") { client in
                let gate = try ExclusiveMode(client: client, path: "/mode").gate(id: "processor")
                try await withThrowingTaskGroup(of: Void.self) { group in
                    defer { group.cancelAll() }
                    let watch = await Self.useUpWatches(of: client)
                    group.addTask { try await gate.run() }
                    try await client.clock.sleep(until: client.clock.now + .seconds(30))
                    watch?.cancel()
                    try await client.clock.sleep(until: client.clock.now + .seconds(10))
                    state.send(gate.state)
                }
            }
            scene.run(.seconds(60))
            try #require(scene.simulation.breakdown == nil)
            return (scene.simulation.steps, state.current.isOpen)
        }
        #expect(steps < 4000)
        #expect(isOpen)
    }

    @Test func `a window that may not watch a processor tries again with pauses, and is given up in time`() async throws
    {
        let (steps, error) = try await onSimulationThread {
            let scene = try ExclusiveScene()
            _ = try scene.startProcessor(longEvent: .seconds(60))
            scene.run(.seconds(2))
            let error = Broadcast<(any Error)?>(nil)
            let before = scene.simulation.steps
            _ = try scene.start("operator") { client in
                let watch = await Self.useUpWatches(of: client)
                let mode = try ExclusiveMode(client: client, path: "/mode")
                do {
                    try await mode.withWindow(reason: "refused", drain: .abort(after: .milliseconds(1500))) { _ in }
                } catch let thrown {
                    error.send(thrown)
                }
                watch?.cancel()
            }
            scene.run(.seconds(4))
            try #require(scene.simulation.breakdown == nil)
            return (scene.simulation.steps - before, error.current)
        }
        #expect(steps < 4000)
        #expect((error as? RecipeError)?.code == .notPaused)
    }

    /// Leaves no room for another watch, as caches of many long names may.
    private static func useUpWatches(of client: ZooKeeperClient) async -> Watch? {
        let path = "/" + String(repeating: "x", count: 999_995)
        return try? await client.watchExistence(at: path).watch
    }

    // MARK: Calls that would wait for themselves

    @Test func `a window or an event inside a window is refused, afterwards it is not`() async throws {
        let codes = try await onSimulationThread {
            let scene = try ExclusiveScene()
            let codes = Broadcast<[String]>([])
            _ = try scene.start("both") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                let (gate, other) = (mode.gate(id: "one"), try ExclusiveMode(client: client, path: "/other"))
                @Sendable func note(_ name: String, _ call: () async throws -> Void) async {
                    do {
                        try await call()
                        codes.send(codes.current + ["\(name): done"])
                    } catch let error as RecipeError {
                        codes.send(codes.current + ["\(name): \(error.code)"])
                    } catch {
                        codes.send(codes.current + ["\(name): \(error)"])
                    }
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    defer { group.cancelAll() }
                    group.addTask { try await gate.run() }
                    for await state in gate.states where state.isOpen { break }
                    let late = try await mode.withWindow(reason: "outer") { _ in
                        await note("window in window") { try await mode.withWindow(reason: "inner") { _ in } }
                        await note("busy window in window") {
                            try await mode.tryWithWindow(reason: "inner") { _ in }
                        }
                        await note("event in window") { try await gate.withSynchronousPermit { _ in } }
                        await note("handle in window") { try await gate.enter().leave() }
                        await note("other window") { try await other.withWindow(reason: "other") { _ in } }
                        return Task {
                            try await client.clock.sleep(until: client.clock.now + .seconds(5))
                            await note("event after window") { try await gate.withSynchronousPermit { _ in } }
                        }
                    }
                    try await late.value
                    try await gate.withPermit { _ in
                        await note("window in event") { try await mode.withWindow(reason: "inner") { _ in } }
                    }
                    await note("window after event") { try await mode.withWindow(reason: "last") { _ in } }
                }
            }
            scene.run(.seconds(60))
            return codes.current
        }
        #expect(
            codes == [
                "window in window: alreadyHeld", "busy window in window: alreadyHeld", "event in window: alreadyHeld",
                "handle in window: alreadyHeld", "other window: done", "event after window: done",
                "window in event: alreadyHeld",
                "window after event: done",
            ])
    }
}

extension MonotonicInstant {
    fileprivate static let distantFuture = MonotonicInstant(nanoseconds: .max)
}

/// Znodes that are counted for as long as somebody keeps them in memory.
private final class WeakNodes: Sendable {
    private struct Reference: Sendable {
        weak let node: HeldNode?
    }

    private let references = Broadcast<[Reference]>([])

    var added: Int { references.current.count }
    var living: Int { references.current.count { $0.node != nil } }

    func add(_ node: HeldNode) { references.send(references.current + [Reference(node: node)]) }
}
