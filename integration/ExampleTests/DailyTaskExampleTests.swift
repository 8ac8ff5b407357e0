import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// `Examples/DailyExclusiveTask`.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(10)))
struct DailyTaskExampleTests {
    private func ask(in scene: ExampleScene) async throws {
        let now = try scene.start("DailyExclusiveTask", "now")
        #expect(try await now.waitForExit() == .exited(0))
    }

    private func pages(_ process: TestProcess, under token: Int64) async throws -> [Int] {
        try await process.output().compactMap { line in
            let words = line.split { " ,:".contains($0) }
            guard words.count == 5, words[1] == "page", words[4] == "\(token)" else { return nil }
            return Int(words[2])
        }
    }

    @Test func `another node goes on after the last page when the report's was killed or frozen, and orders wait`()
        async throws
    {
        let scene = try await ExampleScene("daily")
        let alice = try scene.start("DailyExclusiveTask", "alice")
        try await alice.says("alice: waiting for")
        let bob = try scene.start("DailyExclusiveTask", "bob")
        try await bob.says("bob: standby behind 1")
        var order = try await alice.token(of: "alice: an order")
        order = max(order, try await bob.token(of: "bob: an order"))

        try await ask(in: scene)
        let first = try await alice.token(of: "alice: attempt 1 begins after page 0", over: order)
        try await alice.says("alice: page 4")
        await alice.kill()
        let second = try await bob.token(of: "bob: attempt 2 begins after page", over: first)
        try await bob.says("bob: page 30")
        order = try await bob.token(of: "bob: an order", over: second)

        let carol = try scene.start("DailyExclusiveTask", "carol")
        order = max(order, try await carol.token(of: "carol: an order", over: second))
        try await carol.says("carol: standby behind 1")
        try await ask(in: scene)
        let third = try await bob.token(of: "bob: attempt 1 begins after page 0", over: order)
        try await bob.line { $0.hasPrefix("bob: page 4") && $0.hasSuffix(" \(third)") }
        try bob.pause()
        let fourth = try await carol.token(of: "carol: attempt 2 begins after page", over: third)
        try await carol.says("carol: page 30")
        try bob.resume()
        for (name, process) in [("bob", bob), ("carol", carol)] {
            try await process.token(of: "\(name): an order", over: fourth)
            try process.terminate()
            #expect(try await process.waitForExit() == .exited(0))
        }

        try expectResumption(
            from: await pages(alice, under: first), to: await pages(bob, under: second))
        try expectResumption(
            from: await pages(bob, under: third), to: await pages(carol, under: fourth))
        try await expectRecords(scene)
    }

    /// All pages are there; the last one before the change is there twice when its checkpoint was not stored.
    private func expectResumption(from former: [Int], to latter: [Int]) throws {
        let last = try #require(former.last)
        let first = try #require(latter.first)
        #expect(former == Array(1...last) && latter == Array(first...30))
        #expect(first == last || first == last + 1)
    }

    /// Both reports are on record as completed in the second attempt, by the node that ended them.
    private func expectRecords(_ scene: ExampleScene) async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: scene.connectionString)) { client in
            let runs = try await ScheduledTaskHistory(client: client, path: "/examples/report").runs()
            #expect(runs.map(\.state) == [.completed, .completed])
            #expect(runs.map(\.participantID) == ["bob", "carol"])
            #expect(runs.map(\.attempt) == [2, 2])
            #expect(runs.map { $0.previousAttempts.map(\.participantID) } == [["alice"], ["bob"]])
        }
    }
}
