import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct ExclusiveStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Prints whether a window is wanted or open, who has paused, and how the last windows went.",
        discussion: """
            Takes no part: processors and windows do not notice it.

            A processor is running; not paused or draining, with the number of events inside and the age of the \
            oldest as its gate last reported them; running again, after a window was given up while events were inside; \
            waiting before it resumes, because a window crashed; or paused.

            Exit status: 0 printed, or watched until interrupted; 1 there is no exclusive mode at BASE, or the ensemble \
            cannot be reached; 64 an option or an argument is not valid.
            """)

    @Argument(help: ExclusiveCommand.baseHelp, transform: parsePath)
    var base: String

    @OptionGroup var connection: ConnectionOptions

    @Flag(help: "Print one JSON object a line.")
    var json = false

    @Flag(help: "Print it again with every change, until interrupted.")
    var watch = false

    func run() async throws {
        let command = self
        do {
            try await runProgram(with: connection) { client in
                let mode = try ExclusiveMode(client: client, path: command.base)
                guard command.watch else {
                    let status = try await mode.status()
                    guard !status.isEmpty else {
                        throw try await NothingThere("no processors, windows or records", at: command.base, client)
                    }
                    return command.show(status)
                }
                let changes = StatusChanges(client: client, mode: mode)
                try await changes.follow { command.show(try await mode.status()) }
            }
        } catch is CancellationError where watch {
            // Interrupted, which is how watching ends.
        }
    }

    private func show(_ status: ExclusiveStatus) {
        let report = StatusReport(base: base, status: status)
        if json { return Output.line(report.json) }
        if watch, Output.isTerminal { Output.write("\u{1b}[H\u{1b}[2J", to: 1) }
        for line in report.lines { Output.line(line) }
    }
}

extension ExclusiveStatus {
    /// Whether there is nothing that makes a path an exclusive mode's.
    fileprivate var isEmpty: Bool {
        window == nil && crashedWindows.isEmpty && processors.isEmpty && lastWindows.isEmpty
    }
}

/// Waits for changes of an exclusive mode's znodes.
struct StatusChanges {
    let client: ZooKeeperClient
    let mode: ExclusiveMode

    /// Calls a closure now and after every change, until cancelled.
    ///
    /// - Throws: `CancellationError`, or `ZooKeeperError`.
    func follow(_ body: () async throws -> Void) async throws {
        while true {
            let watches = try await watches()
            try await body()
            _ = try await race(among: watches.map { watch in { try await watch.event() } })
        }
    }

    /// Set before the znodes are read, so that no change falls between.
    private func watches() async throws -> [Watch] {
        var watches = [try await client.watchExistence(at: mode.signalPath).watch]
        watches.append(try await client.watchExistence(at: mode.windowsPath).watch)
        for path in [mode.locksPath, mode.membersPath] {
            do {
                let (names, _, watch) = try await client.watchChildren(of: path)
                watches.append(watch)
                guard path == mode.locksPath else { continue }
                // Processors that drain say so in their read znode's data.
                for name in names {
                    watches.append(try await client.watchExistence(at: ZNodePath.child(name, of: path)).watch)
                }
            } catch let error as ZooKeeperError where error.code == .noNode {
                watches.append(try await client.watchExistence(at: path).watch)
            }
        }
        return watches
    }
}
