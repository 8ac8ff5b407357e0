import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Prints the recipe at a path with its participants, or all recipes below the path.",
        discussion: """
            Only reads: it joins nothing and writes nothing. It recognizes the recipes of this package, of Curator and of \
            kazoo by the names of their znodes: locks, semaphores, elections, groups, barriers, exclusive modes, \
            partition groups and scheduled tasks. Elections of kazoo and of Curator's LeaderSelector have the names of a \
            mutex. A znode without children can be a barrier or a counter.

            For a recipe, it prints the holder, then the queue in order: since when (by the servers' clock) the \
            participant has its znode, the fencing token, the session that owns the znode, what the participant waits \
            for, and the data of the znode. For any other path, it prints a table of the recipes below it.

            The keys of --json are stable. For a recipe: path, kind, layouts, holder, since, holders, waiting, \
            participantCount, participants, details, notes. A participant: znode, state, position, access, id, since, \
            token, czxid, session, waitsFor, data, dataLength, problem. For a table: root, recipes, znodes, skipped, \
            isComplete, refused, notes. Times are in milliseconds since 1970; unknown values are left out.

            \(HelpText.example("zkrecipes status /locks/invoices", "zkrecipes status / --depth 3 --json"))

            \(HelpText.exitStatus([
                "0": "printed, or --watch was ended by a signal",
                "1": "nothing at PATH, no recipe below it, no connection, unwritten output",
                "64": "invalid option or argument",
            ]))
            With --watch, SIGTERM ends the program. \(HelpText.signals)
            """)

    @Argument(
        help: "The znode of a recipe, such as /locks/invoices, or one above recipes, such as /.",
        transform: StatusCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "Show at most this many participants of a recipe. (default: 50)", transform: number(1...100_000))
    var limit = 50

    @OptionGroup var search: RecipeSearchOptions

    @Flag(help: "Print one JSON object per line.")
    var json = false

    @Flag(help: "Print again at an interval, until a signal.")
    var watch = false

    @Option("The interval of --watch.", in: .milliseconds(100)...DurationArgument.oneDay)
    var interval = DurationArgument.seconds(2)

    /// Parses a path, which may be the root.
    static func parse(_ argument: String) throws -> String {
        argument == "/" ? "/" : try parsePath(argument, name: "PATH", example: "/locks/invoices")
    }

    func run() async throws {
        let command = self
        do {
            try await runProgram(with: connection) { client in
                while true {
                    do {
                        try await command.print(client)
                    } catch let error as NothingThere where command.watch {
                        await command.show([error.description], json: Text.json(["nothing": error.description]))
                    }
                    guard command.watch else { return }
                    try await Output.requireWritten()
                    try await Task.sleep(for: command.interval.duration)
                }
            }
        } catch is CancellationError where watch {
            // A signal is the normal end of watching.
        }
    }

    private func print(_ client: ZooKeeperClient) async throws {
        let reader = StatusReader(client: client, limit: limit)
        switch try await client.listing(of: path) {
        case .missing: throw try await NothingThere("no recipe", at: path, client)
        case .refused: throw ZooKeeperError(.noAuth, path: path)
        case .listed(let names, _):
            guard let kind = try await reader.kind(ofZNodeAt: path, names) else {
                let bounds = search.bounds
                let list = try await reader.list(below: path, bounds: bounds)
                guard !list.recipes.isEmpty || !list.remarks.isEmpty else {
                    throw try await NothingThere("no recipe below it", at: path, client)
                }
                await show(list.lines, json: list.json)
                if list.recipes.isEmpty, !watch { throw ExitCode.failure }
                return
            }
            let status = try await reader.status(at: path, kind: kind, names: names)
            await show(status.lines, json: status.json)
        }
    }

    private func show(_ lines: [String], json object: String) async {
        if json { return await Output.results([object]) }
        if watch, Output.isTerminal { Output.clearScreen() }
        await Output.results(lines)
        if watch, !Output.isTerminal { Output.line("") }
    }
}

extension StatusReader {
    /// Recognizes the recipe of a znode.
    ///
    /// - Returns: `nil` if the znode is none, so that recipes may be below it.
    func kind(ofZNodeAt path: String, _ names: [String]) async throws -> RecipeKind? {
        guard path != "/" else { return nil }
        if names.isEmpty { return .znode }
        let isQueue = names.contains { QueueName($0)?.access == .lock }
        let hasEpoch = isQueue ? try await client.exists(at: path + "-epoch") != nil : false
        if let kind = RecipeKind.recognized(byChildren: names, hasEpoch: hasEpoch) { return kind }
        // A group has ephemeral children only; a few of them show whether it is one.
        let sample = try await client.facts(ofChildren: names.prefix(16), of: path)
        let found = sample.compactMap(\.1.stat)
        return !found.isEmpty && found.allSatisfy { $0.ephemeralOwner != nil } ? .group : nil
    }
}

/// The options that bound a search for recipes.
struct RecipeSearchOptions: ParsableArguments {
    @Option(
        help: "Search for recipes at most this many levels below PATH. (default: 5)",
        transform: number(1...RecipeList.maximumDepth))
    var depth = 5

    @Option(
        help: "Read the children of at most this many znodes in a search. (default: 10000)",
        transform: number(1...10_000_000))
    var maxZnodes = 10_000

    var bounds: RecipeSearchPlan.Bounds { RecipeSearchPlan.Bounds(depth: depth, znodes: maxZnodes) }
}
