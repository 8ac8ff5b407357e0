import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Operators that ask a window to evict a processor.
@Suite(.zooKeeperServer, .timeLimit(.minutes(2)))
struct EvictionRequestTests {
    /// Waits until a window is requested, and so many processors have not paused.
    private func awaitNotPaused(_ count: Int, _ scene: ExclusiveScene) async throws {
        try await scene.awaitSignal(stands: true)
        try await scene.locks { $0.count { $0.kind == .read } == count }
    }

    @Test func `a window evicts the processor that an operator names, and waits for the others`() async throws {
        try await ExclusiveScene.with { scene in
            let (frozen, slow) = (
                try await scene.processor("frozen", timeout: .seconds(3)), try await scene.processor("slow")
            )
            let op = try await scene.windowOperator()
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            let (permit, kept) = (try await frozen.gate.enter(), try await slow.gate.enter())
            await frozen.proxy.hold()
            let window = Task {
                try await op.window { window in
                    #expect(window.evicted == ["frozen"])
                    #expect(!permit.isValid)
                }
            }
            try await awaitNotPaused(2, scene)
            let wait = try await mode.requestEviction(of: "frozen", id: "ada", reason: "a test")
            #expect(wait >= .seconds(3))
            try await awaitNotPaused(1, scene)
            #expect(try await mode.status().notPaused.map(\.id) == ["slow"])
            kept.leave()
            try await window.value
            permit.leave()
            await frozen.proxy.release()
            #expect(try await op.mode.recentWindows().map(\.evicted) == [["frozen"]])
            #expect(try await scene.admin.children(of: "\(scene.path)/locks-requests").names.isEmpty)
        }
    }

    @Test func `without a window, and for a processor that has paused, nothing is evicted`() async throws {
        try await ExclusiveScene.with { scene in
            let (one, two) = (try await scene.processor("one"), try await scene.processor("two"))
            let op = try await scene.windowOperator()
            let mode = try ExclusiveMode(client: scene.admin, path: scene.path)
            let none = await #expect(throws: RecipeError.self) { try await mode.requestEviction(of: "one", id: "ada") }
            #expect(none?.code == .notFound)
            let permit = try await one.gate.enter()
            let window = Task { try await op.window { #expect($0.evicted.isEmpty) } }
            try await awaitNotPaused(1, scene)
            let paused = await #expect(throws: RecipeError.self) {
                try await mode.requestEviction(of: "two", id: "ada", timeout: .milliseconds(300))
            }
            #expect(paused?.code == .notAnswered)
            #expect(paused?.message?.contains("has read the request") == true)
            permit.leave()
            try await window.value
            await two.awaitOpen(after: scene.journal.allBodies[0].token)
        }
    }
}
