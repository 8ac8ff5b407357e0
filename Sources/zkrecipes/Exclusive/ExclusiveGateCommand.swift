import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct ExclusiveGateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate",
        abstract: "Runs a processor in any language, which pauses for each window.",
        usage: "zkrecipes exclusive gate BASE [options] -- COMMAND [ARGUMENT...]",
        discussion: """
            The command starts when the gate is open. A window waits until the command has paused. --on-pause selects \
            how that happens:

            restart: the command receives SIGTERM, and SIGKILL after --grace. Its end is the acknowledgement. It is \
            started again after the window.

            signal:USR1,USR2: the first signal asks the command to pause. It acknowledges that by writing the line \
            `paused` to the descriptor ZKRECIPES_ACK_FD. The second signal asks it to resume, which it acknowledges \
            with the line `resumed`. A line that was written before the signal is no acknowledgement, and other lines \
            have no effect. Each signal is sent only after the answer to the one before, only to the process \
            of the command, and not before that process handles it. The signals can be USR1, USR2, HUP, INT, QUIT, \
            ALRM, WINCH and URG.

            command:CMD: the shell runs CMD, which pauses the command, and the command of --on-resume, which resumes \
            it. Exit status 0 is the acknowledgement; after another one, CMD runs again a second later. Both receive \
            the process ID of the command in ZK_COMMAND_PID.

            Without an acknowledgement, the window waits, and `zkrecipes exclusive status BASE` shows this processor as \
            not paused. If the operator evicts it, the command is ended before the window opens.

            The command receives the fencing token of its permit in ZK_FENCING_TOKEN and BASE in ZK_EXCLUSIVE_BASE. \
            \(HeldCommand.variablesHelp(holding: "permit")) After a pause, the permit has a new token, which a command \
            that was not restarted reads from there. The validity is 0 while the command has paused.

            \(HelpText.example(
                "zkrecipes exclusive gate /orders --id web-1 --grace 30s -- ./worker",
                "zkrecipes exclusive gate /orders --on-pause signal:USR1,USR2 -- ./worker.py"))

            If the command ends by itself, this program deletes its znodes and ends with the command's exit status; a \
            supervisor can start it again. If the permit is lost, the command is ended, and started again when the \
            gate is open.

            \(HeldCommand.help(holding: "permit", before: "a window opens"))

            \(HelpText.exitStatus([:]))
            \(HeldCommand.statusHelp)
            """)

    @Argument(help: ExclusiveCommand.baseHelp, transform: parsePath)
    var base: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var monitoring: MonitoringOptions

    @Option(
        help: "The name of the processor, which status shows. (default: host name and process ID)",
        transform: parseLabel)
    var id: String?

    @Option(
        help: ArgumentHelp(
            "The method of pausing the command: restart, signal:<pause>,<resume> or command:<command>. (default: restart)",
            valueName: "method"),
        transform: PauseArgument.parse)
    var onPause = PauseArgument.restart

    @Option(help: ArgumentHelp("With --on-pause command: the shell command that resumes.", valueName: "command"))
    var onResume: String?

    @OptionGroup var commandLine: CommandOptions

    func validate() throws {
        try commandLine.requireCommand(usage: "zkrecipes exclusive gate BASE -- COMMAND [ARGUMENT...]")
        _ = try onPause.method(resumedBy: onResume)
    }

    func run() async throws {
        let (base, id) = (base, id)
        let gated = GatedCommand(
            words: commandLine.command, grace: commandLine.grace.duration,
            method: try onPause.method(resumedBy: onResume),
            variables: ["ZK_EXCLUSIVE_BASE": base])
        try await gated.held.runProgram(with: connection, monitoring) { client, readiness in
            let mode = try ExclusiveMode(client: client, path: base)
            try await mode.withGate(id: id) { gate in
                readiness.require { [weak gate] in
                    switch gate?.state ?? .stopped {
                    case .open, .draining, .paused, .recovering: nil
                    case let state: "the gate is not registered: \(state)"
                    }
                }
                try await gated.run(behind: gate, of: client)
            }
        }
    }
}
