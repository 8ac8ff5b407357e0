import Foundation
import Testing
import ZooKeeper
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// `zkrecipes doctor` on servers with defects.
@Suite(.serialized, .timeLimit(.minutes(4)))
struct DoctorCommandTests {
    /// The result of one run with `--json`.
    private struct Checkup {
        var run: ProgramRun
        var object: [String: Any]

        /// The findings as `severity rule`, without those that depend on the load of this host.
        var rules: [String] {
            let findings = object["findings"] as? [[String: Any]] ?? []
            let all = findings.map { "\($0["severity"] ?? "") \($0["rule"] ?? "")" }
            return all.filter { !$0.hasSuffix(" stalls") && !$0.hasSuffix(" round-trip") }
        }

        var skipped: [String] { object["skipped"] as? [String] ?? [] }
        var measurements: [String: Any] { object["measurements"] as? [String: Any] ?? [:] }
    }

    private func checkup(_ connection: String, _ arguments: String...) async throws -> Checkup {
        let run = try await ProgramRun(
            ["doctor", "--json", "--duration", "500ms"] + arguments, connect: connection)
        #expect(run.lines.count == 1, "\(run)")
        let object = try JSONSerialization.jsonObject(with: Data((run.lines.first ?? "").utf8))
        return Checkup(run: run, object: try #require(object as? [String: Any]))
    }

    @Test func `an ensemble of three servers has no finding that does not depend on this host`() async throws {
        try await withTestEnsemble(members: 3) { ensemble in
            let found = try await checkup(ensemble.connectionString)
            #expect(found.rules.isEmpty, "\(found.run)")
            #expect(found.object["voters"] as? Int == 3)
            let modes = (found.object["servers"] as? [[String: Any]] ?? []).compactMap { $0["mode"] as? String }
            #expect(modes.sorted() == ["follower", "follower", "leader"])
            for key in ["read", "leaderRoundTrip", "commit"] {
                #expect(((found.measurements[key] as? [String: Any])?["count"] as? Int ?? 0) > 0, "\(found.run)")
            }
            let few = try await checkup(ensemble[0].connectionString)
            #expect(few.rules == ["note few-addresses"], "\(few.run)")

            await ensemble[2].kill()
            let down = try await checkup(ensemble.connectionString)
            #expect(down.rules == ["error server-down"], "\(down.run)")
            #expect(down.run.status == .exited(2))
        }
    }

    @Test func `a frozen server does not delay the others, and is reported`() async throws {
        try await withTestEnsemble(members: 3) { ensemble in
            let frozen = try #require(await ensemble.followers().first)
            try frozen.pause()
            let others = ensemble.members.filter { $0.number != frozen.number }.map(\.connectionString)
            let found = try await checkup(
                (others + [frozen.connectionString]).joined(separator: ","), "--server-timeout", "500ms")
            try frozen.resume()
            #expect(found.rules.contains("error server-down"), "\(found.run)")
        }
    }

    @Test func `an even number of voters is a warning`() async throws {
        try await withTestEnsemble(members: 2) { ensemble in
            let found = try await checkup(ensemble.connectionString)
            #expect(found.rules == ["warning even-voters"], "\(found.run)")
            #expect(found.object["voters"] as? Int == 2)
        }
    }

    @Test func `a minimum session timeout below two ticks is an error if the session uses it`() async throws {
        var configuration = TestServerConfiguration()
        configuration.tickTime = .seconds(2)
        configuration.additionalSettings["minSessionTimeout"] = "1000"
        try await withTestServer(configuration: configuration) { server in
            let long = try await checkup(server.connectionString)
            #expect(long.rules == ["warning single-server", "warning min-session-timeout"], "\(long.run)")
            let short = try await checkup(server.connectionString, "--session-timeout", "2s")
            #expect(short.rules == ["error min-session-timeout", "warning single-server"], "\(short.run)")
            #expect(short.run.status == .exited(2))
        }
    }

    @Test func `a session timeout that is not granted is a warning`() async throws {
        var configuration = TestServerConfiguration()
        configuration.maximumSessionTimeout = .seconds(20)
        try await withTestServer(configuration: configuration) { server in
            let found = try await checkup(server.connectionString, "--session-timeout", "1m")
            #expect(found.rules.contains("warning negotiated-timeout"), "\(found.run)")
            #expect(found.measurements["negotiatedTimeout"] as? Int == 20_000_000)
        }
    }

    @Test func `commands that are not allowed are a note`() async throws {
        var configuration = TestServerConfiguration()
        configuration.additionalSettings["4lw.commands.whitelist"] = "srvr"
        try await withTestServer(configuration: configuration) { server in
            let found = try await checkup(server.connectionString)
            #expect(found.rules == ["warning single-server", "note four-letter-words"], "\(found.run)")
            let said = try await ProgramRun(["doctor", "--duration", "200ms"], connect: server.connectionString)
            #expect(said.lines.contains { $0.contains("4lw.commands.whitelist=srvr,mntr,conf,ruok") }, "\(said)")
        }
    }

    @Test func `ACLs of paths are checked, and the clock with a znode that is deleted again`() async throws {
        try await withTestServer { server in
            try await withZooKeeperClient(configuration: .init(connectionString: server.connectionString)) { client in
                try await client.create("/open")
                try await client.create("/closed", acl: [.readUnsafe])
                try await client.create(
                    "/secret", acl: [ACL(permissions: .all, scheme: "digest", id: "ada:AAAAAAAAAAAAAAAAAAAAAAAAAAA=")])
                let found = try await checkup(
                    server.connectionString, "/open", "/closed", "/secret", "/missing", "--path", "/open")
                #expect(
                    found.rules == [
                        "warning single-server", "warning open-acl", "warning path-missing", "note path-refused",
                    ], "\(found.run)")
                #expect(abs(found.measurements["clockAhead"] as? Int ?? .max) < 5_000_000, "\(found.run)")
                #expect(try await client.children(of: "/open").names.isEmpty)
                let stat = try #require(try await client.exists(at: "/open"))
                // Three creations and three deletions.
                #expect(stat.childrenVersion == 6)

                let refused = try await checkup(server.connectionString, "--path", "/closed")
                #expect(refused.skipped.contains { $0.hasPrefix("the clock skew: no znode can be created") })
                let without = try await checkup(server.connectionString, "/open")
                #expect(without.skipped.contains { $0.hasPrefix("the clock skew: it needs a znode") })
                #expect(try await client.exists(at: "/open")?.childrenVersion == 6)
            }
        }
    }

    @Test func `a connection that fails and a wrong argument end as with other commands`() async throws {
        let dead = try await ProgramRun(["doctor", "--connect-timeout", "1.2s"], connect: "127.0.0.1:9")
        #expect(dead.status == .exited(1), "\(dead)")
        #expect(dead.errors.last?.contains("no connection to 127.0.0.1:9") == true, "\(dead)")
        for arguments in [["no-slash"], ["--duration", "0s"], ["--path", "x"], ["--path", "/a/"]] {
            #expect(try await ProgramRun(["doctor"] + arguments).status == .exited(64))
        }
    }
}
