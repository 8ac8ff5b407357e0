import Glibc
import Testing
import ZooKeeper
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

@testable import zkrecipes

/// `zkrecipes acl` with znodes of several identities.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(4)))
struct ACLCommandTests {
    private var connection: String { TestServer.current.connectionString }

    private func run(_ arguments: [String]) async throws -> ProgramRun {
        try await ProgramRun(["acl"] + arguments, connect: connection)
    }

    private func withClient(user: String? = nil, _ body: (ZooKeeperClient) async throws -> Void) async throws {
        var configuration = try ZooKeeperClientConfiguration(connectionString: connection)
        if let user { configuration.auth = [.digest(user: user, password: "word")] }
        try await withZooKeeperClient(configuration: configuration) { try await body($0) }
    }

    /// Runs an operation with a file of the credentials of a user.
    private func withCredentials(of user: String, _ body: (String) async throws -> Void) async throws {
        let path = "/tmp/acl-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { unlink(path) }
        let text = "digest:\(user):word\n"
        #expect(write(file, text, text.utf8.count) == text.utf8.count)
        close(file)
        try await body(path)
    }

    private func identities(at path: String, _ client: ZooKeeperClient) async throws -> [String] {
        try await client.acl(at: path).acl.map {
            "\($0.scheme):\($0.id.prefix { $0 != ":" }):\($0.permissions.rawValue)"
        }
        .sorted()
    }

    @Test func `a tree gets an ACL, which a dry run and a second run do not change`() async throws {
        try await withCredentials(of: "app") { file in
            try await withClient(user: "app") { client in
                for path in ["/tree", "/tree/a", "/tree/a/b", "/tree/c"] { try await client.create(path) }
                try await client.create("/tree/c/e", mode: .ephemeral)
                let words = ["set", "/tree", "--recursive", "--acl", "readable", "--auth-file", file]
                let dry = try await run(words + ["--dry-run"])
                #expect(dry.status == .exited(0), "\(dry)")
                #expect(dry.lines.first == "would set the ACL of 5 znodes at and below /tree", "\(dry)")
                #expect(dry.lines.contains { $0.hasPrefix("1 znode of them belong") }, "\(dry)")
                #expect(try await client.acl(at: "/tree/a/b").stat.aclVersion == 0)
                let real = try await run(words + ["--yes", "--reason", "a test"])
                #expect(real.status == .exited(0) && real.lines == ["changed 5 znodes"], "\(real)")
                for path in ["/tree", "/tree/a", "/tree/a/b", "/tree/c", "/tree/c/e"] {
                    #expect(try await identities(at: path, client) == ["digest:app:31", "world:anyone:1"])
                }
                let again = try await run(words + ["--yes"])
                #expect(again.lines == ["changed 0 znodes; 5 znodes already had this ACL"], "\(again)")
                #expect(try await client.acl(at: "/tree/a/b").stat.aclVersion == 1)

                let shown = try await run(["show", "/tree", "--recursive", "--auth-file", file])
                #expect(shown.status == .exited(0) && shown.lines.count == 11, "\(shown)")
                #expect(shown.lines.contains { $0.hasPrefix("/tree/a/b") && $0.hasSuffix("everything (this client)") })
                let others = try await run(["show", "/tree"])
                #expect(others.lines.contains { $0.contains("digest:app:x ") }, "\(others)")
                #expect(!others.lines.contains { $0.contains("digest:app") && $0.contains("this client") }, "\(others)")
            }
        }
    }

    @Test func `a client without permission changes what it may, and lists the rest`() async throws {
        try await withClient(user: "other") { other in
            try await withClient { client in
                try await client.create("/mixed")
                try await client.create("/mixed/open")
                try await client.create("/mixed/open/below")
                try await other.create("/mixed/private", acl: [.creatorAll])
                try await other.create("/mixed/readable", acl: [.creatorAll, .readUnsafe])
                try await other.create(
                    "/mixed/unlisted", acl: [.creatorAll, ACL(permissions: .admin, scheme: "world", id: "anyone")])
                try await other.create("/mixed/unlisted/below")
                let words = ["set", "/mixed", "--recursive", "--acl", "world:anyone:cdra", "--yes"]
                let said = try await run(words)
                #expect(said.status == .exited(1), "\(said)")
                #expect(said.lines == ["changed 4 znodes; 3 failed"], "\(said)")
                for (path, reason) in [
                    ("private", "neither read nor admin"), ("readable", "no admin permission"),
                    ("unlisted", "left out"),
                ] {
                    #expect(said.errors.contains { $0.contains("/mixed/\(path): ") && $0.contains(reason) }, "\(said)")
                }
                for path in ["/mixed", "/mixed/open", "/mixed/open/below", "/mixed/unlisted"] {
                    #expect(try await identities(at: path, client) == ["world:anyone:29"], "\(path)")
                }
                let json = try await run(words + ["--json"])
                #expect(json.status == .exited(1) && json.lines.count == 1 && json.errors.isEmpty, "\(json)")
                #expect(json.lines[0].contains(#""failures":[{"path":"/mixed/private""#), "\(json)")
                let shown = try await run(["show", "/mixed", "--recursive", "--json"])
                #expect(shown.status == .exited(1) && shown.lines[0].contains(#""complete":false"#), "\(shown)")
            }
        }
    }

    @Test func `names are printed escaped, and a missing path, too many znodes and bad schemes fail`() async throws {
        try await withClient { client in
            try await client.create("/odd")
            try await client.create("/odd/x\u{202e}y")
            for arguments in [
                ["show", "/odd", "--recursive"], ["show", "/odd", "--recursive", "--json"],
                ["set", "/odd/x\u{202e}y", "--acl", "open", "--yes"],
            ] {
                let said = try await run(arguments)
                #expect(said.status == .exited(0), "\(said)")
                #expect(!"\(said)".unicodeScalars.contains("\u{202e}"), "\(said)")
            }
            for verb in [["show"], ["set", "--acl", "open", "--yes"]] {
                let missing = try await run(verb + ["/odd/mistyped"])
                #expect(missing.status == .exited(1) && missing.errors.count == 1, "\(missing)")
                #expect(missing.errors.first?.contains("/odd/mistyped does not exist") == true, "\(missing)")
                let many = try await run(verb + ["/odd", "--recursive", "--max-znodes", "1"])
                #expect(many.status == .exited(1) && many.errors[0].contains("raise --max-znodes"), "\(many)")
            }
            // No server of this suite has the scheme.
            let unknown = try await run(["set", "/odd", "--acl", "kerberos:app:cdrwa", "--force", "--yes"])
            #expect(unknown.status == .exited(1), "\(unknown)")
            #expect(unknown.errors.contains { $0.contains("changed 0 znodes") }, "\(unknown)")
            #expect(try await identities(at: "/odd", client) == ["world:anyone:31"])
        }
    }

    @Test func `the root is changed without the servers' own znodes`() async throws {
        try await withClient { client in
            let before = try await client.acl(at: "/zookeeper").stat.aclVersion
            let said = try await run(["set", "/", "--recursive", "--acl", "open", "--dry-run", "--json"])
            #expect(said.status != .exited(64) && said.lines.count == 1, "\(said)")
            let shown = try await run(["show", "/", "--recursive"])
            #expect(!shown.lines.contains { $0.hasPrefix("/zookeeper") }, "\(shown)")
            #expect(try await client.acl(at: "/zookeeper").stat.aclVersion == before)
        }
    }

    @Test func `a change overwrites no concurrent one, passes over deleted znodes, and ends with the path`()
        async throws
    {
        try await withClient { client in
            for path in ["/race", "/race/a", "/race/a/b", "/race/changed", "/race/deleted"] {
                try await client.create(path)
            }
            let tree = try await ACLTree.read(client, at: "/race", isRecursive: true, limit: 100)
            try await client.setACL(
                [.openUnsafe, ACL(permissions: .read, scheme: "ip", id: "127.0.0.1")], at: "/race/changed")
            try await client.delete("/race/deleted")
            let wanted = ACL(permissions: [.read, .admin, .delete], scheme: "world", id: "anyone")
            let change = ACLChange(tree, to: [wanted], as: OwnIdentities([]))
            #expect(
                change.steps.map { $0.map(\.path).sorted() }
                    == [["/race/a/b"], ["/race/a", "/race/changed", "/race/deleted"], ["/race"]])
            try await change.run(client)
            #expect(
                change.report
                    == .init(
                        changed: 3, deleted: 1,
                        failures: [.init(path: "/race/changed", reason: "its ACL was changed in the meantime")]))
            #expect(try await identities(at: "/race/changed", client) == ["ip:127.0.0.1:1", "world:anyone:31"])
        }
    }

    // MARK: Outages

    private static let setACL = ProxiedRequest.Operation(rawValue: 7)

    @Test func `an outage on a deep level leaves the levels above as they are, and the command can be repeated`()
        async throws
    {
        try await withClient { client in
            for path in ["/outage", "/outage/a", "/outage/a/b"] { try await client.create(path) }
            let proxy = try FaultProxy(to: TestServer.current)
            // The program sends the request four times.
            for _ in 0..<4 {
                await proxy.dropNextRequest(thenCut: true) { $0.operation == Self.setACL && $0.path == "/outage/a/b" }
            }
            let words = ["acl", "set", "/outage", "--recursive", "--acl", "world:anyone:ra", "--yes"]
            let interrupted = try await ProgramRun(words, connect: proxy.connectionString)
            await proxy.close()
            #expect(interrupted.status == .exited(1), "\(interrupted)")
            #expect(interrupted.lines == ["changed 0 znodes; 1 failed; 2 not tried"], "\(interrupted)")
            #expect(interrupted.errors.contains { $0.contains("/outage/a/b: ") }, "\(interrupted)")
            #expect(interrupted.errors.last?.contains("run the command again") == true, "\(interrupted)")
            for path in ["/outage", "/outage/a"] {
                #expect(try await identities(at: path, client) == ["world:anyone:31"], "\(path)")
            }
            let repeated = try await ProgramRun(words, connect: connection)
            #expect(repeated.status == .exited(0) && repeated.lines == ["changed 3 znodes"], "\(repeated)")
        }
    }

    @Test(arguments: [false, true])
    func `after a lost answer, an ACL is compared only if its stored form is known`(hasCertificate: Bool) async throws {
        let proxy = try FaultProxy(to: TestServer.current)
        var configuration = try ZooKeeperClientConfiguration(connectionString: proxy.connectionString)
        let credentials = [AuthCredential.digest(user: "app", password: "word")]
        configuration.auth = credentials
        try await withZooKeeperClient(configuration: configuration) { client in
            let path = "/lost-\(hasCertificate)"
            try await client.create(path)
            let tree = try await ACLTree.read(client, at: path, isRecursive: false, limit: 1)
            let own = OwnIdentities(credentials, hasCertificate: hasCertificate)
            let change = ACLChange(tree, to: [.creatorAll], as: own)
            await proxy.dropNextReply(thenCut: true) { $0.operation == Self.setACL }
            try await change.run(client)
            #expect(try await identities(at: path, client) == ["digest:app:31"])
            #expect(change.report.changed == (hasCertificate ? 0 : 1))
            #expect(change.report.failures.map(\.path) == (hasCertificate ? [path] : []))
            let reason = change.report.failures.first?.reason
            #expect(reason?.contains("may have been made nevertheless") ?? !hasCertificate, "\(change.report)")
        }
        await proxy.close()
    }
}
