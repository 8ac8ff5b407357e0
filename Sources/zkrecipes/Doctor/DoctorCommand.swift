import ArgumentParser
import CommandLineSupport
import ZooKeeper

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Measures the ensemble and this host, and prints what is risky.",
        discussion: """
            Measures round trips to the connected server, to the leader and to a majority, the stalls of this host, and \
            the steps of its clock. It reads the configuration and the load of each server in --connect with the \
            commands srvr, mntr, conf and ruok, where 4lw.commands.whitelist allows them. For each PATH, it checks the \
            ACL and the number of children. The commits that it measures are transactions that only check a znode. It \
            writes nothing, except an ephemeral znode below --path.

            Each finding is an error, a warning or a note, with the reason and the remedy. The measurements show the \
            time of the run only: repeat it while the host and the servers are busy.

            The keys of --json are stable: errors, warnings, notes, findings (severity, rule, subject, what, why, \
            remedy), measurements, servers, voters, observers, skipped. Times are in microseconds, but the latency of a \
            server, which it reports itself, is in milliseconds; unknown values are left out.

            \(HelpText.example("zkrecipes doctor /app --connect zk1:2181,zk2:2181,zk3:2181 --duration 30s"))

            \(HelpText.exitStatus([
                "0": "no findings, or notes only",
                "1": "at least one warning; or failure, such as no connection",
                "2": "at least one error",
                "64": "invalid option or argument",
            ]))
            """)

    @Argument(
        help: "A znode whose ACL and children are checked, such as /app.",
        transform: StatusCommand.parse)
    var paths: [String] = []

    @OptionGroup var connection: ConnectionOptions

    @Option("Measure for this time.", in: .milliseconds(100)...DurationArgument.oneDay)
    var duration = DurationArgument.seconds(10)

    @Option("The pause between two measurements.", in: .milliseconds(1)...DurationArgument.minutes(1))
    var pause = DurationArgument.milliseconds(50)

    @Option("Wait for an answer of a server to srvr, mntr, conf and ruok.", in: .milliseconds(100)...(.minutes(1)))
    var serverTimeout = DurationArgument.seconds(2)

    @Option(
        help: ArgumentHelp(
            "Create and delete an ephemeral znode below this one, to compare the clocks.",
            discussion: "Default: create none, and do not compare the clocks.", valueName: "znode"),
        transform: StatusCommand.parse)
    var path: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        let command = self
        let requested = try connection.endpoint().sessionTimeout
        let measured = try await runProgram(with: connection) { client in
            try await Doctor(
                client: client, requestedTimeout: requested,
                duration: command.duration.duration, pause: command.pause.duration, writablePath: command.path,
                paths: command.paths, serverTimeout: command.serverTimeout.duration
            ).measure()
        }
        let report = DoctorReport(diagnosis: Diagnosis(measured))
        await Output.results(json ? [report.json] : report.lines)
        if report.diagnosis.exitStatus != 0 { throw ExitCode(report.diagnosis.exitStatus) }
    }
}
