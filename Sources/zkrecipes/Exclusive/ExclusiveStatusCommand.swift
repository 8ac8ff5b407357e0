import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct ExclusiveStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Prints the current window, the holds, the state of each processor, and the last windows.",
        discussion: """
            Only reads: it has no effect on processors and windows.

            A processor is running; not paused or draining, with the number of events inside its gate and the age of \
            the oldest, as its gate last reported them; running again, after a window request was withdrawn while events \
            were inside; waiting before it resumes, because a window crashed; or paused.

            \(HelpText.example("zkrecipes exclusive status /orders --watch"))

            With --json, one object: base, window, holds, crashedWindows, processors, notPaused and recentWindows. A \
            window has participantID, reason, requestedAt and token; the current one also has phase (draining, \
            recovering, evicting or open), one that has ended also outcome, duration, drainDuration, slowestProcessor \
            and evicted. A hold has participantID, reason and since. A processor has id, host, pid, state, and inside \
            and oldest if it has reported them. Times are in milliseconds, requestedAt and since from 1970. Later \
            versions add keys, and change none.

            \(HelpText.exitStatus([
                "0": "printed, or --watch was ended by a signal",
                "1": "no exclusive mode at BASE, no connection, or an output that was not written",
                "64": "invalid option or argument",
            ]))
            With --watch, SIGTERM ends the program. \(HelpText.signals)
            """)

    @Argument(help: ExclusiveCommand.baseHelp, transform: parsePath)
    var base: String

    @OptionGroup var connection: ConnectionOptions

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @Flag(help: "Print again after every change, until a signal.")
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
                    return await command.show(status)
                }
                let changes = StatusChanges(client: client, mode: mode)
                try await changes.follow {
                    await command.show(try await mode.status())
                    try await Output.requireWritten()
                }
            }
        } catch is CancellationError where watch {
            // A signal is the normal end of watching.
        }
    }

    private func show(_ status: ExclusiveStatus) async {
        let report = StatusReport(base: base, status: status)
        if json { return await Output.results([report.json]) }
        if watch, Output.isTerminal { Output.clearScreen() }
        await Output.results(report.lines)
    }
}

extension ExclusiveStatus {
    /// Whether the path contains no znodes of an exclusive mode.
    var isEmpty: Bool {
        window == nil && holds.isEmpty && crashedWindows.isEmpty && processors.isEmpty && recentWindows.isEmpty
    }
}

/// Reports changes of an exclusive mode's znodes.
struct StatusChanges {
    let client: ZooKeeperClient
    let mode: ExclusiveMode

    /// Calls a closure now and after every change, until the task is cancelled.
    ///
    /// - Throws: `CancellationError`, or `ZooKeeperError`.
    func follow(_ body: () async throws -> Void) async throws {
        let watches = RecipeWatches(client: client)
        while true {
            // Before the znodes are read, so that no change is missed.
            try await watches.renew { try await watches.watch(mode) }
            try await body()
            await watches.wait()
            try Task.checkCancellation()
        }
    }
}

extension RecipeWatches {
    /// Watches the znodes of an exclusive mode.
    func watch(_ mode: ExclusiveMode) async throws {
        try await watch([mode.signalPath, mode.windowsPath])
        _ = try await children(of: mode.membersPath)
        // Draining processors report that in the data of their read lock's znode.
        let locks = try await children(of: mode.locksPath)
        try await watch(locks.map { ZNodePath.child($0, of: mode.locksPath) })
    }
}
