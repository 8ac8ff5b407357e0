import ArgumentParser
import CommandLineSupport
import Testing

@testable import zkrecipes

/// What happens before an operator command changes anything.
@Suite struct OperatorOptionsTests {
    private func confirmations(_ arguments: String...) throws -> [BasicOperatorOptions.Confirmation] {
        let options = try OperatorOptions.parse(arguments)
        return [true, false].flatMap { needsYes in
            [true, false].map { options.confirmation(needsYes: needsYes, onTerminal: $0) }
        }
    }

    @Test func `a terminal is asked, and only a command that takes a grant away needs the option without one`() throws {
        #expect(try confirmations() == [.ask, .refuse, .ask, .perform])
        #expect(try confirmations("--yes") == [.perform, .perform, .perform, .perform])
        #expect(try confirmations("--dry-run") == [.describe, .describe, .describe, .describe])
        #expect(try confirmations("--yes", "--dry-run") == [.describe, .describe, .describe, .describe])
    }

    @Test func `records without a field for the reason have it behind the operator's ID`() throws {
        #expect(try OperatorOptions.parse(["--id", "ada"]).signature == "ada")
        #expect(try OperatorOptions.parse(["--id", "ada", "--reason", "a holiday"]).signature == "ada: a holiday")
    }

    @Test(arguments: [
        ["lock", "/l", "--", "true"], ["lock", "--wait", "1s", "/l", "--", "evict"],
        ["lock", "run", "/l", "--", "run"],
    ])
    func `a lock runs a command unless another command is named`(arguments: [String]) throws {
        let command = try #require(try ZKRecipes.parseAsRoot(arguments) as? LockRunCommand)
        #expect(command.path == "/l" && command.commandLine.command == [arguments.last ?? ""])
        #expect(ZKRecipes.unknownCommand(in: arguments) == nil)
    }

    @Test func `a mistyped command of a lock is named`() throws {
        let error = try #require(ZKRecipes.unknownCommand(in: ["lock", "evit", "/l"]))
        #expect(error.message.contains("zkrecipes lock has no command \"evit\": did you mean \"evict\"?"))
    }

    @Test func `the new commands are read`() throws {
        #expect(try ZKRecipes.parseAsRoot(["lock", "evict", "/l", "--yes"]) is LockEvictCommand)
        #expect(try ZKRecipes.parseAsRoot(["lock", "release-request", "/l"]) is LockReleaseRequestCommand)
        #expect(try ZKRecipes.parseAsRoot(["leader", "resign", "/l"]) is LeaderResignCommand)
        #expect(try ZKRecipes.parseAsRoot(["leader", "transfer", "/l", "--to", "b"]) is LeaderTransferCommand)
        #expect(try ZKRecipes.parseAsRoot(["exclusive", "evict", "/b", "p", "--yes"]) is ExclusiveEvictCommand)
        let hold = ["exclusive", "hold", "/b", "--reason", "r", "--wait", "--timeout", "1s", "--yes"]
        #expect(try ZKRecipes.parseAsRoot(hold) is ExclusiveHoldCommand)
        #expect(try ZKRecipes.parseAsRoot(["exclusive", "unhold", "/b", "--yes"]) is ExclusiveUnholdCommand)
    }
}
