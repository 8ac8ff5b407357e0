import Testing
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// `Examples/LeaderElection` and `Examples/LeaderGatedTasks`.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(10)))
struct LeaderExampleTests {
    @Test func `the next one reports when the leader has ended, and when it was killed`() async throws {
        let scene = try await ExampleScene("election")
        let alice = try scene.start("LeaderElection", "alice")
        let first = try await alice.token(of: "alice reports")
        let bob = try scene.start("LeaderElection", "bob")
        try await bob.says("bob: waiting behind 1")
        try alice.interrupt()
        #expect(try await alice.waitForExit() == .exited(0))
        let second = try await bob.token(of: "bob reports", over: first)
        let carol = try scene.start("LeaderElection", "carol")
        try await carol.says("carol: waiting behind 1")
        await bob.kill()
        try await carol.token(of: "carol reports", over: second)
        try carol.terminate()
        #expect(try await carol.waitForExit() == .exited(0))
        #expect(try await carol.output().last == "carol: stopped")
    }

    private static let tasks = ["reminders", "clean-up"]

    /// Waits until both tasks of a process work under a token over another.
    private func works(_ process: TestProcess, over other: Int64 = 0) async throws -> Int64 {
        let token = try await process.token(of: "reminders: works", over: other)
        for task in Self.tasks { try await process.says("\(task): works, token \(token)") }
        return token
    }

    private func waits(_ process: TestProcess, behind position: Int) async throws {
        for task in Self.tasks { try await process.says("\(task): red, waiting behind \(position)") }
    }

    @Test func `tasks wait for the green light, and move together when their process is killed, frozen or ended`()
        async throws
    {
        let scene = try await ExampleScene("gated")
        let alice = try scene.start("LeaderGatedTasks", "alice")
        let first = try await works(alice)
        let bob = try scene.start("LeaderGatedTasks", "bob")
        try await waits(bob, behind: 1)
        let carol = try scene.start("LeaderGatedTasks", "carol")
        try await waits(carol, behind: 2)

        await alice.kill()
        let second = try await works(bob, over: first)
        try bob.pause()
        let third = try await works(carol, over: second)
        try bob.resume()
        try carol.terminate()
        #expect(try await carol.waitForExit() == .exited(0))
        _ = try await works(bob, over: third)
        try bob.terminate()
        #expect(try await bob.waitForExit() == .exited(0))
        let output = try await bob.output()
        for task in Self.tasks {
            let lines = output.filter { $0.hasPrefix("\(task): ") }
            let last = try #require(lines.lastIndex { $0.hasSuffix("works, token \(second)") })
            #expect(lines[last + 1].hasPrefix("\(task): red, "))
        }
    }
}
