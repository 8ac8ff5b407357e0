import Glibc
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Commands that present credentials to servers.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(2)))
struct CredentialTests {
    private var connection: String { TestServer.current.connectionString }
    private static let secret = "s3cret:word"

    /// Creates a file with credentials, and deletes it after the operation.
    private func withFile(_ text: String, _ body: (String) async throws -> Void) async throws {
        let path = "/tmp/credentials-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer { unlink(path) }
        #expect(write(file, text, text.utf8.count) == text.utf8.count)
        close(file)
        try await body(path)
    }

    @Test func `credentials give access to a znode that other identities cannot use`() async throws {
        var configuration = try ZooKeeperClientConfiguration(connectionString: connection)
        configuration.auth = [.digest(user: "app", password: Self.secret)]
        configuration.acl = [.creatorAll]
        try await withZooKeeperClient(configuration: configuration) { client in
            _ = try await client.create("/protected", mode: .persistent)
        }
        let words = ["lock", "/protected", "--log-level", "trace", "--", "env"]
        let refused = try await ProgramRun(words, connect: connection)
        #expect(refused.status == .exited(125) && refused.errors.contains { $0.contains("the ACL of ") }, "\(refused)")
        try await withFile("digest:other:\(Self.secret)\n") { path in
            let other = try await ProgramRun(words, connect: connection, environment: ["ZOOKEEPER_AUTH_FILE": path])
            #expect(other.status == .exited(125), "\(other)")
        }
        try await withFile("# The application.\n\ndigest:app:\(Self.secret)\n") { path in
            for (options, environment) in [(["--auth-file", path], [:]), ([], ["ZOOKEEPER_AUTH_FILE": path])] {
                let run = try await ProgramRun(
                    ["lock", "/protected"] + options + words.dropFirst(2), connect: connection, environment: environment
                )
                #expect(run.status == .exited(0), "\(run)")
                #expect(run.lines.contains { $0.hasPrefix("ZK_FENCING_TOKEN=") })
                // Neither the command's environment nor the log contains the secret.
                #expect(!(run.lines + run.errors).contains { $0.contains("s3cret") })
            }
            let status = try await ProgramRun(["status", "/protected", "--auth-file", path], connect: connection)
            #expect(!status.errors.contains { $0.contains("the ACL of ") }, "\(status)")
        }
    }

    @Test func `a file that others can read is refused`() async throws {
        try await withFile("digest:app:\(Self.secret)\n") { path in
            for mode: mode_t in [0o640, 0o604, 0o660] {
                #expect(chmod(path, mode) == 0)
                let run = try await ProgramRun(["status", "/", "--auth-file", path], connect: connection)
                #expect(run.status == .exited(64), "\(run)")
                #expect(run.errors.contains { $0.contains("chmod 600") } && !"\(run)".contains("s3cret"), "\(run)")
            }
        }
    }

    /// A secret of Kubernetes with `fsGroup` belongs to root, and to a group of the process.
    @Test(.enabled(if: geteuid() == 0, "Only root can run a program as another user."))
    func `a file of root that the group of the process can read is accepted, unless others can read it`() async throws {
        try await withFile("digest:app:\(Self.secret)\n") { path in
            for (mode, group, status) in [(0o440, 65534, 1), (0o640, 65534, 1), (0o444, 65534, 64), (0o400, 65534, 64)]
                as [(mode_t, gid_t, Int32)]
            {
                #expect(chown(path, 0, group) == 0 && chmod(path, mode) == 0)
                let process = try TestProcess(
                    "/usr/bin/setpriv",
                    arguments: [
                        "--reuid", "65534", "--regid", "65534", "--clear-groups",
                        TestProcess.path(ofProduct: "zkrecipes"), "status", "/no-such-path", "--auth-file", path,
                        "--connect", connection,
                    ])
                // There is nothing at the path; the file was accepted before.
                #expect(try await process.waitForExit() == .exited(status), "\(String(mode, radix: 8))")
            }
        }
    }
}
