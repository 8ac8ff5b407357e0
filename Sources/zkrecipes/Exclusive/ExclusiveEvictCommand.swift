import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

struct ExclusiveEvictCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "evict",
        abstract: "Asks the requested window to evict a processor that does not pause.",
        discussion: """
            The window evicts the processor, as with `zkrecipes exclusive run --evict-after`: it records that, and opens \
            after the session timeout of the processor, when its events have been cancelled. It continues to wait for \
            other processors. Its log contains the operator and the reason.

            Windows that use another library, such as Curator's, do not read requests.

            Without a terminal, --yes is required.

            \(HelpText.example("zkrecipes exclusive evict /orders web-3 --reason \"it hangs\" --yes"))

            \(HelpText.exitStatus([
                "0": "the processor is evicted; the time until the window may open is printed",
                "1": "no window is requested, it has not answered, or no connection",
                "64": "invalid option or argument, or --yes is missing",
            ]))
            """)

    @Argument(help: ExclusiveCommand.baseHelp, transform: parsePath)
    var base: String

    @Argument(help: "The ID of a processor that has not paused, which `zkrecipes exclusive status` prints.")
    var processor: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var operation: OperatorOptions

    @Option("Give up if the window has not answered after this time.", in: .milliseconds(1)...DurationArgument.oneDay)
    var timeout = DurationArgument.seconds(10)

    func validate() throws { try operation.requireConfirmation() }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let mode = try ExclusiveMode(client: client, path: base)
        let status = try await mode.status()
        guard let window = status.window else {
            throw RecipeError(
                .notFound, in: .exclusiveMode, path: base,
                message: "no window is requested or open"
                    + (status.holds.isEmpty
                        ? "" : "; `zkrecipes exclusive run \(base) --evict-after 0s -- true` evicts during a hold"))
        }
        guard status.notPaused.contains(where: { $0.id.hasBytes(of: processor) }) else {
            let others = status.notPaused.map { Text.escaped($0.id) }.joined(separator: ", ")
            throw ValidationError(
                "\(Text.quoted(processor)) is no processor of \(base) that has not paused; "
                    + (others.isEmpty ? "all have paused" : "these have not paused: \(others)"))
        }
        return OperatorAction(
            description:
                "evict \(processor) from the processors of \(base), for the window of \(window.participantID)",
            effects: ["Its events are cancelled. The window opens after its session timeout at the earliest."]
        ) {
            let wait = try await mode.requestEviction(
                of: processor, id: operation.operatorID, reason: operation.reason, timeout: timeout.duration)
            return OperatorAction.Outcome(
                results: ["\(processor) is evicted; the window opens in \(Text.seconds(wait)) at the earliest"])
        }
    }
}
