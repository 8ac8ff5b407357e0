import FoundationEssentials
import Testing
import ZooKeeper
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The format and the amount of messages on standard error.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(2)))
struct LogFormatTests {
    private struct Record: Decodable {
        var time: String
        var level: String
        var message: String
        var metadata: [String: String]?
    }

    private func run(_ words: String...) async throws -> ProgramRun {
        try await ProgramRun(words, connect: TestServer.current.connectionString)
    }

    private func records(_ run: ProgramRun) throws -> [Record] {
        try run.errors.map { try JSONDecoder().decode(Record.self, from: Data($0.utf8)) }
    }

    @Test func `in JSON, each line of standard error is an object`() async throws {
        let led = try await run(
            "lead", "/json", "--id", "a\u{e9}", "--log-format", "json", "--log-level", "info", "--", "echo", "ran")
        #expect(led.status == .exited(0) && led.lines == ["ran"], "\(led)")
        let all = try records(led)
        #expect(all.contains { $0.level == "notice" && $0.message.hasPrefix("leading, term 1 with token ") }, "\(led)")
        #expect(all.contains { $0.level == "info" && $0.metadata?["zookeeper.path"] == "/json" }, "\(led)")
        #expect(all.allSatisfy { $0.time.contains(/^\d{4}-\d{2}-\d{2}T/) && !$0.message.isEmpty })
        let missing = try await run("leader", "status", "/none", "--log-format", "json")
        let error = try #require(try records(missing).last)
        #expect(error.level == "error" && error.message.hasPrefix("/none does not exist"), "\(missing)")
    }

    @Test func `a quiet program prints only errors`() async throws {
        let led = try await run("lead", "/quiet", "--quiet", "--log-level", "info", "--", "echo", "ran")
        #expect(led.lines == ["ran"] && led.errors.isEmpty, "\(led)")
        let missing = try await run("leader", "status", "/none", "--quiet")
        #expect(missing.errors.contains { $0.hasPrefix("zkrecipes: /none does not exist") }, "\(missing)")
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func `the program prints a completion script with its commands`(shell: String) async throws {
        let script = try await ProgramRun(["--generate-completion-script", shell])
        #expect(script.status == .exited(0) && script.errors.isEmpty, "\(script.errors)")
        for word in ["lead", "partitions", "auth-file", "semaphore"] {
            #expect(script.lines.contains { $0.contains(word) }, "\(word)")
        }
    }
}
