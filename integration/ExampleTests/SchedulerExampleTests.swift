import Testing
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// `Examples/FailoverScheduler`.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(10)))
struct SchedulerExampleTests {
    @Test func `a standby starts its scheduler when the leader's was killed, frozen or ended`() async throws {
        let scene = try await ExampleScene("failover")
        let alice = try scene.start("FailoverScheduler", "alice")
        let first = try await alice.token(of: "alice sends what is due")
        let bob = try scene.start("FailoverScheduler", "bob")
        try await bob.says("bob: standby behind 1")
        let carol = try scene.start("FailoverScheduler", "carol")
        try await carol.says("carol: standby behind 2")

        await alice.kill()
        let second = try await bob.token(of: "bob sends what is due", over: first)
        try bob.pause()
        let third = try await carol.token(of: "carol sends what is due", over: second)
        try bob.resume()
        try await bob.says("bob has stopped")
        try carol.terminate()
        #expect(try await carol.waitForExit() == .exited(0))
        let fourth = try await bob.token(of: "bob sends what is due", over: third)
        try bob.terminate()
        #expect(try await bob.waitForExit() == .exited(0))

        try await expectWhole([third], of: carol, named: "carol")
        try await expectWhole([second, fourth], of: bob, named: "bob")
    }

    /// Each time in office has a beginning and an end, and what is sent is sent in between, with its token.
    private func expectWhole(_ tokens: [Int64], of process: TestProcess, named name: String) async throws {
        let lines = try await process.output().filter { !$0.hasPrefix("\(name): ") }
        var office: Int64?
        var seen: [Int64] = []
        for line in lines {
            let token = line.split(separator: " ").last.flatMap { Int64($0) }
            if line.hasPrefix("\(name) starts") {
                #expect(office == nil)
                office = token
                seen += [token ?? 0]
            } else if line == "\(name) has stopped" {
                office = nil
            } else {
                #expect(token == office, "\(line)")
            }
        }
        #expect(office == nil && seen == tokens)
    }
}
