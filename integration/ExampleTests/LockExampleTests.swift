import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// `Examples/LockWithLossSignal`.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(10)))
struct LockExampleTests {
    /// More invoices than anybody waits for.
    private static let many = "1000000"

    private func start(_ name: String, invoices: String, in scene: ExampleScene) throws -> TestProcess {
        try scene.start("LockWithLossSignal", name, invoices)
    }

    @Test func `who waits has the lock when its holder was killed, works, and unlocks`() async throws {
        let scene = try await ExampleScene("killed")
        let alice = try start("alice", invoices: Self.many, in: scene)
        let first = try await alice.token(of: "alice writes invoice 2")
        let bob = try start("bob", invoices: "2", in: scene)
        try await bob.says("bob asks for the lock")
        #expect(await alice.kill() == .signalled(9))
        let second = try await bob.token(of: "bob has locked", over: first)
        #expect(try await bob.waitForExit() == .exited(0))
        // On a machine that is too busy it may be warned meanwhile.
        #expect(
            try await bob.output().filter { !$0.hasPrefix("bob may lose") } == [
                "bob asks for the lock", "bob has locked, token \(second)", "bob writes invoice 1, token \(second)",
                "bob writes invoice 2, token \(second)", "bob has unlocked",
            ])
    }

    @Test func `a holder frozen beyond its session is told when it wakes up, and writes no more`() async throws {
        let scene = try await ExampleScene("frozen")
        let alice = try start("alice", invoices: Self.many, in: scene)
        let first = try await alice.token(of: "alice writes invoice 2")
        let bob = try start("bob", invoices: "2", in: scene)
        try await bob.says("bob asks for the lock")
        try alice.pause()
        try await bob.token(of: "bob writes invoice 2", over: first)
        #expect(try await bob.waitForExit() == .exited(0))
        try alice.resume()
        #expect(try await alice.waitForExit() == .exited(0))
        #expect(try await alice.output().last?.hasPrefix("alice has stopped: lost") == true)
    }

    @Test func `a holder whose znode is deleted is told at once, and the next one locks`() async throws {
        let scene = try await ExampleScene("deleted")
        let alice = try start("alice", invoices: Self.many, in: scene)
        let first = try await alice.token(of: "alice writes invoice 1")
        let bob = try start("bob", invoices: "1", in: scene)
        try await withZooKeeperClient(configuration: .init(connectionString: scene.connectionString)) { client in
            let mutex = try DistributedMutex(client: client, path: "/examples/invoices")
            let holder = try #require(try await mutex.queue().first)
            #expect(holder.participantID == "alice")
            try await client.delete(holder.path)
        }
        try await alice.says(#"alice has stopped: lost at "/examples/invoices" (znodeDeleted)"#)
        try await bob.token(of: "bob has locked", over: first)
        #expect(try await bob.waitForExit() == .exited(0))
    }

    @Test func `a holder that hears nothing of the server is warned, then stops by itself`() async throws {
        try await withTestServer { server in
            let alice = try startExample("LockWithLossSignal", [server.connectionString, "alice", Self.many])
            try await alice.says("alice writes invoice 1")
            await server.kill()
            try await alice.says("alice may lose the lock")
            try await alice.says("alice has stopped: lost")
            #expect(try await alice.waitForExit() == .exited(0))
            let output = try await alice.output()
            let warning = output.firstIndex { $0.hasPrefix("alice may lose") }
            let end = output.firstIndex { $0.hasPrefix("alice has stopped") }
            #expect(try #require(warning) < #require(end))
        }
    }
}
