import ArgumentParser
import Testing
import ZooKeeper
import ZooKeeperRecipes

@testable import zkrecipes

@Suite struct PartitionsCommandTests {
    /// The exit status and the message of a command line that is refused; `nil` when it is taken.
    private func refusal(_ arguments: String...) -> (status: Int32, message: String)? {
        do {
            _ = try ZKRecipes.parseAsRoot(["partitions"] + arguments)
            return nil
        } catch {
            return (ZKRecipes.exitCode(for: error).rawValue, ZKRecipes.message(for: error))
        }
    }

    private static let long = String(repeating: "a", count: ZNodeName.maximumLength + 1)

    @Test(arguments: ["a\u{1f600}", "..", "a/b", "a\nb", "\u{e000}", long])
    func `a partition id that cannot be a znode's name is refused at once`(id: String) throws {
        let refused = try #require(refusal("run", "/g", "--id", "web1", "--partitions", "a,\(id)"))
        #expect(refused.status == 64)
        #expect(refused.message.contains("--partitions: the name \""))
        #expect(refused.message.utf8.count < 400)
    }

    @Test(arguments: ["", "a\u{1f600}", "..", "a/b", long])
    func `a node name that cannot be a znode's is refused at once`(name: String) throws {
        let run = try #require(refusal("run", "/g", "--id", name, "--partitions", "a"))
        #expect(run.status == 64 && run.message.contains("--id"))
        for command in ["cordon", "uncordon"] {
            let refused = try #require(refusal(command, "/g", name))
            #expect(refused.status == 64 && refused.message.contains("use a name such as"))
        }
    }

    @Test func `a path that cannot be is refused at once`() throws {
        for arguments in [["/g/"], ["/\u{1f600}"]] {
            let refused = try #require(refusal("run", arguments[0], "--id", "web1", "--partitions", "a"))
            #expect(refused.status == 64)
        }
        let from = try #require(refusal("run", "/g", "--id", "web1", "--from", "list"))
        #expect(from.status == 64 && from.message.contains("--from"))
    }

    @Test func `ids are taken apart at each comma, whatever mark follows it`() throws {
        let list = "a,\u{301}b,caf\u{e9},cafe\u{301}"
        let arguments = ["partitions", "run", "/g", "--id", "web1", "--partitions", list]
        let command = try #require(try ZKRecipes.parseAsRoot(arguments) as? PartitionsRunCommand)
        #expect(command.partitions.source == .list(["a", "\u{301}b", "caf\u{e9}", "cafe\u{301}"]))
    }

    @Test func `a report has a line for each of two nodes of equal strings`() {
        let names = ["caf\u{e9}", "cafe\u{301}"]
        let status = PartitionStatus(
            nodes: names.map { PartitionNode($0) }, partitions: [.init(partition: "a", owner: names[1])])
        let lines = PartitionReport(status).lines
        #expect(lines.contains { $0.utf8.starts(with: "\(names[0])  ".utf8) && $0.contains("0") })
        #expect(lines.contains { $0.utf8.starts(with: "\(names[1])  ".utf8) && $0.contains("1") })
    }
}
