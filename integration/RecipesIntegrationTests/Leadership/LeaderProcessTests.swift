import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Participants in processes of their own, which are frozen and killed.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct LeaderProcessTests {
    /// What a leader printed of one moment in office.
    private struct Act {
        var token: Int64
        var isValid: Bool
        var time: Int64

        init?(_ line: String) {
            let words = line.split(separator: " ")
            guard words.count == 4, words[0] == "act", let token = Int64(words[1]), let time = Int64(words[3]) else {
                return nil
            }
            (self.token, isValid, self.time) = (token, words[2] == "valid", time)
        }
    }

    private func participant(_ id: String, on server: TestServer) throws -> TestProcess {
        try program(
            "leader", "run", "/app/leader", "--id", id, "--act-every", "0.002", "--session-timeout", "2", "--connect",
            server.connectionString)
    }

    /// Waits for the first act that is valid and over a token.
    private func act(of process: TestProcess, over token: Int64 = 0) async throws -> Int64 {
        let line = try await process.line { Act($0).map { $0.isValid && $0.token > token } ?? false }
        return Act(line)?.token ?? 0
    }

    private func acts(of process: TestProcess) async throws -> [Act] {
        try await process.output().compactMap(Act.init)
    }

    @Test func `a leader frozen beyond its session acts as valid no more before its next term`() async throws {
        try await withTestServer { server in
            let frozen = try participant("frozen", on: server)
            let first = try await act(of: frozen)
            let other = try participant("other", on: server)
            try await other.line { $0.hasPrefix("waiting behind") }
            try frozen.pause()
            let second = try await act(of: other, over: first)
            try frozen.resume()
            // It is told, stands again behind the other, and leads when that one goes.
            try await frozen.line { $0 == "waiting behind 1" }
            try other.terminate()
            #expect(try await other.waitForExit() == .exited(0))
            let third = try await act(of: frozen, over: second)
            try frozen.terminate()
            #expect(try await frozen.waitForExit() == .exited(0))

            #expect(first < second && second < third)
            let all = try await (acts(of: frozen) + acts(of: other)).sorted { $0.time < $1.time }
            let valid = all.filter(\.isValid)
            #expect(valid.map(\.token) == valid.map(\.token).sorted())
            #expect(Set(valid.map(\.token)) == [first, second, third])
        }
    }

    @Test func `a killed leader is followed once its session has ended, and a terminated one at once`() async throws {
        try await withTestServer { server in
            let one = try participant("one", on: server)
            let first = try await act(of: one)
            let two = try participant("two", on: server)
            try await two.line { $0.hasPrefix("waiting behind") }
            let three = try participant("three", on: server)
            try await three.line { $0 == "waiting behind 2" }
            let status = try await program(
                "leader", "status", "/app/leader", "--connect", server.connectionString
            ).output()
            #expect(status == ["one", "two", "three"])
            let watcher = try program(
                "leader", "status", "/app/leader", "--watch", "--connect", server.connectionString)
            try await watcher.line { $0 == "one" }
            await one.kill()
            let second = try await act(of: two, over: first)
            try two.terminate()
            let third = try await act(of: three, over: second)
            #expect(try await two.waitForExit() == .exited(0))
            try await watcher.line { $0 == "three" }
            try watcher.interrupt()
            #expect(try await watcher.output() == ["one", "two", "three"])
            #expect(first < second && second < third)
            try three.terminate()
            #expect(try await three.waitForExit() == .exited(0))
            for refused in [["run", "/", "--id", "x"], ["run", "/app", "--id", ""], ["status", "app"]] {
                let process = try TestProcess(
                    TestProcess.path(ofProduct: "zkrecipes"), arguments: ["leader"] + refused)
                #expect(try await process.waitForExit() == .exited(64))
            }
        }
    }
}

/// Elections on an ensemble whose members come and go.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct LeaderEnsembleTests {
    private func withClients(
        of ensemble: TestEnsemble, timeout: Duration,
        _ body: @escaping @Sendable (_ near: ZooKeeperClient, _ far: ZooKeeperClient) async throws -> Void
    ) async throws {
        let anywhere = try ZooKeeperClientConfiguration(
            connectionString: ensemble.connectionString, sessionTimeout: timeout)
        try await withZooKeeperClient(configuration: anywhere) { near in
            try await withZooKeeperClient(configuration: anywhere) { far in try await body(near, far) }
        }
    }

    @Test func `a rolling restart of the ensemble moves no leader`() async throws {
        try await withTestEnsemble(members: 3) { ensemble in
            try await withClients(of: ensemble, timeout: .seconds(15)) { near, far in
                let leader = try Contestant(client: near, id: "leader")
                let term = try await leader.leads()
                let waiter = try Contestant(client: far, id: "waiter")
                await waiter.waits()
                for member in ensemble.members {
                    try await member.restart()
                    try await ensemble.waitUntilServing()
                    await near.state { $0.isConnected }
                    await far.state { $0.isConnected }
                }
                #expect(term.isValid && leader.selector.term === term)
                #expect(!waiter.selector.isLeader)
                try await leader.selector.resign(to: "waiter", timeout: .seconds(20))
                #expect(try await waiter.leads().fencingToken > term.fencingToken)
                try await waiter.stop()
                try await leader.stop()
            }
        }
    }

    @Test func `a leader on a follower that lost its own leader is out before the next one is in`() async throws {
        try await withTestEnsemble(members: 3, proxiedQuorum: true) { ensemble in
            let server = try await ensemble.leader()
            let follower = try #require(await ensemble.followers().first)
            let nearby = try ZooKeeperClientConfiguration(
                connectionString: follower.connectionString, sessionTimeout: .seconds(3))
            let faraway = try ZooKeeperClientConfiguration(
                connectionString: server.connectionString, sessionTimeout: .seconds(10))
            try await withZooKeeperClient(configuration: nearby) { near in
                try await withZooKeeperClient(configuration: faraway) { far in
                    let leader = try Contestant(client: near, id: "cut off")
                    let term = try await leader.leads()
                    let overlap = Notes()
                    let next = try Contestant(client: far, id: "next") { following in
                        if term.isValid { overlap.add("both lead") }
                        try await Contestant.hold(following)
                    }
                    await next.waits()
                    await ensemble.cut(between: follower, and: server)
                    let after = try await next.leads()
                    #expect(after.fencingToken > term.fencingToken)
                    #expect(!term.isValid && overlap.all.isEmpty)
                    #expect(try await term.waitUntilLost() == .deadlinePassed)
                    await ensemble.heal()
                    await leader.waits()
                    try await next.stop()
                    try await leader.leads(term: 2)
                    try await leader.stop()
                }
            }
        }
    }
}
