import Simulations
import Testing
import ZooKeeperSimulator

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// What is left of windows, and what others put in its place, while rights are missing or clients stop.
@Suite struct WindowEdgeTests {
    private static func records(in scene: ExclusiveScene) -> [WindowRecord.Outcome] {
        WindowRecord.list(scene.ensemble.node("/mode/windows")?.data ?? []).map(\.outcome)
    }

    private static func left(in scene: ExclusiveScene) -> [String] { scene.ensemble.children(of: "/mode/windows") }

    /// A scene in which a window has ended in order, so that all znodes exist.
    private static func makeScene() throws -> ExclusiveScene {
        let scene = try ExclusiveScene()
        _ = try scene.startOperator("first")
        scene.run(.seconds(3))
        try #require(records(in: scene) == [.completed])
        return scene
    }

    private static let all: ACL.Permissions = [.read, .write, .create, .delete, .admin]

    private static func acl(without permission: ACL.Permissions) -> [ACL] {
        [ACL(permissions: all.subtracting(permission), scheme: "world", id: "anyone")]
    }

    @Test func `a child of the records that may not be read stops nobody`() async throws {
        let (admitted, opened) = try await onSimulationThread {
            let scene = try Self.makeScene()
            _ = try scene.start("admin") { client in
                try await client.create("/mode/windows/foreign", data: [1], acl: Self.acl(without: .read))
            }
            scene.run(.seconds(2))
            _ = try scene.startProcessor()
            scene.run(.seconds(10))
            let admitted = scene.entered.all.count
            _ = try scene.startOperator()
            scene.run(.seconds(10))
            return (admitted, scene.opened.all.count)
        }
        #expect(admitted > 200)
        #expect(opened == 2)
    }

    @Test func `a window that may not record an eviction fails with that, and leaves nothing`() async throws {
        let (code, locks, znodes) = try await onSimulationThread {
            let scene = try Self.makeScene()
            _ = try scene.startProcessor(longEvent: .seconds(60))
            _ = try scene.start("admin") { client in
                try await client.setACL(Self.acl(without: .write), at: "/mode/windows")
            }
            scene.run(.seconds(5))
            let failure = OneShot<ZooKeeperError>()
            _ = try scene.start("operator") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                do {
                    try await mode.withWindow(reason: "test", drain: .evict(after: .milliseconds(100))) { _ in }
                } catch let error as ZooKeeperError {
                    failure.set(error)
                }
            }
            scene.run(.seconds(20))
            return (
                failure.value?.code, scene.ensemble.children(of: "/mode/locks").count,
                scene.ensemble.children(of: "/mode")
            )
        }
        #expect(code == .noAuth)
        #expect(locks == 1)
        #expect(!znodes.contains("signal"))
    }

    /// Why the znode of a window without a record cannot be deleted.
    enum Obstacle: CaseIterable { case noRight, child }

    @Test(arguments: Obstacle.allCases)
    func `a window whose znode cannot be deleted ends, and its record tells that`(obstacle: Obstacle) async throws {
        let (isRunning, records, opened, pause) = try await onSimulationThread {
            let scene = try Self.makeScene()
            _ = try scene.startProcessor()
            if obstacle == .noRight {
                _ = try scene.start("admin") { client in
                    try await client.setACL(Self.acl(without: .delete), at: "/mode/windows")
                }
            }
            scene.run(.seconds(3))
            let windowOperator = try scene.startOperator { client in
                try await client.clock.sleep(until: client.clock.now + .seconds(2))
            }
            scene.run(.seconds(1))
            if obstacle == .child, let id = Self.left(in: scene).first {
                _ = try scene.start("admin") { client in try await client.create("/mode/windows/\(id)/note") }
            }
            scene.run(.seconds(20))
            let ended = scene.simulation.now
            _ = try scene.startOperator("next")
            scene.run(.seconds(20))
            let admitted = scene.admitted(after: ended)
            return (
                windowOperator.isRunning, Self.records(in: scene), scene.opened.all.count,
                zip(admitted, admitted.dropFirst()).map { $1 - $0 }.max()
            )
        }
        #expect(!isRunning)
        #expect(records == [.completed, .completed, .completed])
        #expect(opened == 3)
        // Nobody takes it for a crash.
        #expect(try #require(pause) < .seconds(2))
    }

    @Test(arguments: [true, false])
    func `a client that stops while it asks for a window leaves no crash behind`(isGraceful: Bool) async throws {
        let left = try await onSimulationThread {
            var left: [Duration] = []
            for step in 0..<40 {
                let scene = try Self.makeScene()
                let process = SimulatedProcess("op", in: scene.simulation)
                let client = try scene.makeClient(for: process)
                let go = OneShot<Void>()
                process.start {
                    await withTaskGroup(of: Void.self) { group in
                        group.addTask { try? await client.run() }
                        group.addTask {
                            try? await go.wait()
                            try? await ExclusiveMode(client: client, path: "/mode").withWindow(reason: "stopped") { _ in
                            }
                        }
                    }
                }
                scene.run(.seconds(1))
                scene.simulation.after(.zero, by: process) { go.set(()) }
                let span = Duration.microseconds(step * 100)
                scene.run(span)
                if isGraceful {
                    scene.simulation.after(.zero, by: process) { client.triggerGracefulShutdown() }
                } else {
                    process.cancel()
                }
                scene.run(.seconds(1))
                if !Self.left(in: scene).isEmpty { left.append(span) }
            }
            return left
        }
        #expect(left == [])
    }

    @Test func `a window whose signal was deleted leaves the next one's alone`() async throws {
        let (records, opened) = try await onSimulationThread {
            let scene = try Self.makeScene()
            _ = try scene.startOperator("one") { client in
                // Takes its time to end.
                await Task { try? await client.clock.sleep(until: client.clock.now + .seconds(4)) }.value
            }
            scene.run(.seconds(2))
            try #require(scene.ensemble.delete("/mode/signal"))
            _ = try scene.startOperator("two")
            scene.run(.seconds(60))
            return (Self.records(in: scene), scene.opened.all.count)
        }
        #expect(records == [.completed, .lost, .completed])
        #expect(opened == 3)
    }

    @Test func `gates that have paused wait when somebody deletes the signal`() async throws {
        let (deleted, admitted, ended) = try await onSimulationThread {
            let scene = try Self.makeScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            let ended = Ticks()
            _ = try scene.startOperator { client in
                // Takes its time to end.
                await Task { try? await client.clock.sleep(until: client.clock.now + .seconds(4)) }.value
                ended.note(client.clock.now)
            }
            scene.run(.seconds(1))
            let deleted = scene.simulation.now
            try #require(scene.ensemble.delete("/mode/signal"))
            scene.run(.seconds(20))
            return (deleted, scene.admitted(after: deleted), ended.all)
        }
        let first = try #require(admitted.first)
        #expect(first - deleted >= ExclusiveMode.Configuration().resumeDelay)
        #expect(first > (try #require(ended.first)))
    }

    @Test func `a client that stops after an eviction records its window`() async throws {
        let (records, left) = try await onSimulationThread {
            let scene = try Self.makeScene()
            _ = try scene.startProcessor(longEvent: .seconds(60))
            scene.run(.seconds(2))
            let process = SimulatedProcess("op", in: scene.simulation)
            let client = try scene.makeClient(for: process)
            process.start {
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { try? await client.run() }
                    group.addTask {
                        let mode = try? ExclusiveMode(client: client, path: "/mode")
                        try? await mode?.withWindow(reason: "stopped", drain: .evict(after: .milliseconds(500))) {
                            _ in
                            try await client.clock.sleep(until: client.clock.now + .seconds(60))
                        }
                    }
                }
            }
            scene.run(.seconds(12))
            scene.simulation.after(.zero, by: process) { client.triggerGracefulShutdown() }
            scene.run(.seconds(10))
            return (Self.records(in: scene), Self.left(in: scene))
        }
        #expect(records == [.completed, .lost])
        #expect(left == [])
    }

    @Test func `operators who give up soon after a crash do not keep processors from resuming`() async throws {
        let admitted = try await onSimulationThread {
            let scene = try Self.makeScene()
            _ = try scene.startProcessor()
            scene.run(.seconds(2))
            let crashing = try scene.startOperator("crashing") { client in
                try await client.clock.sleep(until: client.clock.now + .seconds(60))
            }
            scene.run(.seconds(1))
            crashing.kill()
            let killed = scene.simulation.now
            _ = try scene.start("hasty") { client in
                let mode = try ExclusiveMode(client: client, path: "/mode")
                while true {
                    try? await mode.withWindow(reason: "hasty", drain: .abort(after: .seconds(1))) { _ in }
                    try await client.clock.sleep(until: client.clock.now + .seconds(3))
                }
            }
            scene.run(.seconds(60))
            return scene.admitted(after: killed + .seconds(20)).count
        }
        #expect(admitted > 500)
    }
}
