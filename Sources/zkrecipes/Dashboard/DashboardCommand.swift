import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct DashboardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dashboard",
        abstract: "Serves a web page that shows recipes and the ensemble live.",
        discussion: """
            The page shows exclusive modes with their processors and windows, locks and elections with their queues, \
            schedules with their runs, partition groups with their nodes, and the servers with the findings of `zkrecipes \
            doctor` that need no measurement. It is updated after each change. A recipe that is created later appears by \
            itself.

            Recipes are read once for all pages, and only while a page is open. Up to 32 pages can be open at the same \
            time.

            Each client that reaches the address can read the page: there is neither encryption nor authentication. Use an \
            address of this host, and a tunnel such as `ssh -L 8080:127.0.0.1:8080 HOST`, or a proxy that checks users.

            Nothing can be changed without --allow-changes. With it, the page offers the commands for operators, such as \
            `leader transfer` and `lock evict`, to those who have the token. It prints the address with a new token on \
            standard error once, unless --token-file names one. Each command is recorded with the operator and the \
            reason.

            \(HelpText.example(
                "zkrecipes dashboard --connect zk1:2181,zk2:2181,zk3:2181",
                "zkrecipes dashboard /orders /app --listen 0.0.0.0:8080 --allow-host zk.example.com"))

            \(HelpText.exitStatus([
                "0": "a signal ended the program",
                "1": "failure, such as no connection or an address that is in use",
                "64": "invalid option or argument",
            ]))
            SIGTERM ends the program. \(HelpText.signals)
            """)

    @Argument(
        help: "The znodes of recipes, or znodes above recipes. (default: /)",
        transform: StatusCommand.parse)
    var paths: [String] = []

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var monitoring: MonitoringOptions

    @Option(
        help: ArgumentHelp(
            "Serve the page at this IP address and port. (default: 127.0.0.1:8080)",
            discussion: "Such as 127.0.0.1:8080 or [::1]:8080; port 0 for a free port, which is reported.",
            valueName: "address:port"),
        transform: ListenAddress.parse)
    var listen: ListenAddress?

    @Option(
        help: ArgumentHelp(
            "Also accept requests for this host name, such as that of a proxy; may be repeated.",
            discussion: "Requests for localhost and for IP addresses are always accepted.", valueName: "name"),
        transform: DashboardCommand.parseHost)
    var allowHost: [String] = []

    @Flag(help: "Allow pages that have the token to send the commands for operators.")
    var allowChanges = false

    @Option(
        help: ArgumentHelp(
            "A file with the token for --allow-changes, which only its owner can read.",
            discussion: "\(AccessToken.rule). Default: a new token, which is printed.", valueName: "file"),
        completion: .file())
    var tokenFile: String?

    @OptionGroup var search: RecipeSearchOptions

    static func parseHost(_ argument: String) throws -> String {
        let isName = { (byte: UInt8) in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || byte == 0x2d || byte == 0x2e || byte == 0x5f
        }
        guard !argument.isEmpty, argument.utf8.allSatisfy(isName) else {
            throw ValidationError("it must be a host name without a port, such as zk.example.com")
        }
        return argument
    }

    func validate() throws {
        guard allowChanges || tokenFile == nil else {
            throw ValidationError("--token-file is only for --allow-changes: add it, or remove --token-file")
        }
        guard !allowChanges || tokenFile != nil || !connection.log.quiet else {
            throw ValidationError(
                "--quiet would not print the token for --allow-changes: use --token-file, or remove --quiet")
        }
    }

    func run() async throws {
        let command = self
        let token = try token()
        do {
            try await monitoring.runProgram(with: connection) { client, _ in
                try await command.serve(client, token)
            }
        } catch is CancellationError {
            // A signal is the normal end.
        }
    }

    /// Returns the token for changes; `nil` if they are not allowed.
    private func token() throws -> AccessToken? {
        guard allowChanges else { return nil }
        guard let tokenFile else { return AccessToken() }
        do throws(SettingFileError) {
            if let token = AccessToken(content: try SmallFile.readSecret(tokenFile)) { return token }
        } catch {
            throw ValidationError("--token-file \(Text.quoted(tokenFile)) \(error.problem)")
        }
        throw ValidationError("--token-file \(Text.quoted(tokenFile)) is invalid: it must contain \(AccessToken.rule)")
    }

    private func serve(_ client: ZooKeeperClient, _ token: AccessToken?) async throws {
        let paths = paths.isEmpty ? ["/"] : paths
        let (feed, address) = (DashboardFeed(), try listen ?? ListenAddress.parse("127.0.0.1:8080"))
        let endpoint = try connection.endpoint()
        let board = DashboardBoard(
            .init(
                servers: endpoint.connectionString, paths: paths,
                verbs: token.map { _ in DashboardVerb.allCases.map(\.rawValue) }))
        let reader = DashboardReader(
            client: client, paths: paths, bounds: search.bounds,
            requestedTimeout: endpoint.sessionTimeout, board: board, feed: feed)
        let server = DashboardServer(
            feed: feed, hosts: AllowedHosts(allowHost),
            changes: token.map { ($0, DashboardActions(connection: connection)) })
        // An eviction waits for the longest session timeout that the servers allow.
        let listening = ListeningServer(
            handler: server, option: "--listen", limits: .init(answerTime: .seconds(3600)))
        let isSecret = tokenFile == nil
        try await listening.serve(
            at: address,
            listens: { text in
                Output.notice("serving the dashboard at http://\(text)/")
                if let token, isSecret {
                    Output.notice("changes are possible at http://\(text)/#token=\(token.text)")
                }
                if !address.isLoopback {
                    Output.notice(
                        "each client that reaches \(text) can read the page, and there is no encryption: see --help")
                }
            }
        ) { try await reader.run() }
    }
}
