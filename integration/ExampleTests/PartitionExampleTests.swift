import Testing
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// `Examples/PartitionWorkers`.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(10)))
struct PartitionExampleTests {
    private static let shards = ["north", "south", "east", "west"]

    @Test func `shards go to who is there, and home when who they prefer comes back`() async throws {
        let scene = try await ExampleScene("shards")
        let alice = try scene.start("PartitionWorkers", "alice")
        for shard in Self.shards { try await alice.says("alice: works on \(shard), token ") }
        var south = try await alice.token(of: "alice: works on south, token ")

        let killed = try scene.start("PartitionWorkers", "bob")
        try await killed.says("bob: warms up for south")
        south = try await killed.token(of: "bob: works on south, token ", over: south)
        try await alice.says("alice: has ended south")
        await killed.kill()
        south = try await alice.token(of: "alice: works on south, token ", over: south)

        let bob = try scene.start("PartitionWorkers", "bob")
        south = try await bob.token(of: "bob: works on south, token ", over: south)
        var north = try await alice.token(of: "alice: works on north, token ")
        try alice.pause()
        north = try await bob.token(of: "bob: works on north, token ", over: north)
        try alice.resume()
        try await alice.says("alice: has ended north")
        north = try await alice.token(of: "alice: works on north, token ", over: north)

        try bob.terminate()
        #expect(try await bob.waitForExit() == .exited(0))
        try await alice.token(of: "alice: works on south, token ", over: south)
        try alice.terminate()
        #expect(try await alice.waitForExit() == .exited(0))
        for (name, process) in [("alice", alice), ("bob", bob)] {
            try await expectWhole(process, named: name)
        }
    }

    /// A shard's work lies between its beginnings and ends, each with a token of its own.
    private func expectWhole(_ process: TestProcess, named name: String) async throws {
        let output = try await process.output()
        for shard in Self.shards {
            var present: Int64?
            var last: Int64 = 0
            for line in output.filter({ $0.contains(" \(shard)") && !$0.contains("warms up") }) {
                let token = line.split(separator: " ").last.flatMap { Int64($0) }
                if line.hasPrefix("\(name): begins") {
                    #expect(present == nil && token ?? 0 > last)
                    (present, last) = (token, token ?? 0)
                } else if line == "\(name): has ended \(shard)" {
                    present = nil
                } else {
                    #expect(token == present, "\(line)")
                }
            }
            #expect(present == nil)
        }
    }
}
