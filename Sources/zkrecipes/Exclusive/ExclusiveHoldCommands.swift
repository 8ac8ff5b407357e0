import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperScheduling

struct ExclusiveHoldCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Keeps all processors paused, until the hold is removed.",
        discussion: """
            The hold outlives this command, and restarts of processors and of the ensemble. `zkrecipes exclusive \
            unhold` removes it. --id names its owner, who has at most one hold: a second call replaces the reason. \
            Several owners may have a hold at the same time. Processors resume when the last hold is removed.

            Processors pause as for a window, also those that use another library, such as Curator's. A window may \
            open during a hold. If one is requested or open now, the processors stay paused when it ends.

            This command ends when no further processor can resume. With --wait, it ends when all have paused. It \
            cannot evict a processor that does not pause: `zkrecipes exclusive run BASE --evict-after 0s -- true` can.

            A processor must have run at BASE before. If the znodes of BASE are not open to each client, use the --acl of \
            the programs that created them, so that the znodes of the hold are not open either.

            Without a terminal, --yes is required.

            \(HelpText.example(
                "zkrecipes exclusive hold /orders --reason \"migration of the database\" --id ada --yes",
                "zkrecipes exclusive hold /orders --reason \"an incident\" --wait --timeout 1m"))

            \(HelpText.exitStatus([
                "0": "the hold exists, and with --wait, all processors have paused",
                "1": "a processor has not paused in time, and the hold remains; nothing exists at BASE, or no connection",
                "64": "invalid option or argument, or --yes is missing",
            ]))
            """)

    @Argument(help: ExclusiveCommand.baseHelp, transform: parsePath)
    var base: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var operation: OperatorOptions

    @Flag(help: "Wait until all processors have paused.")
    var wait = false

    @Option(
        "With --wait: give up waiting after this time; the hold remains.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var timeout: DurationArgument?

    func validate() throws {
        guard !operation.reason.isEmpty else {
            throw ValidationError("--reason is empty: give a reason, which `zkrecipes exclusive status` prints")
        }
        if let problem = ExclusiveHold.problem(ofOwner: operation.operatorID) {
            throw ValidationError("--id: \(problem)")
        }
        guard wait || timeout == nil else {
            throw ValidationError("--timeout limits the wait for processors: add --wait")
        }
        try operation.requireConfirmation()
    }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let mode = try ExclusiveMode(client: client, path: base)
        let status = try await mode.status()
        guard !status.isEmpty else {
            throw try await NothingThere("no processors, windows or records", at: base, client)
        }
        let owner = operation.operatorID
        var action = OperatorAction(description: "hold \(base) for \(owner)", effects: Self.effects(status)) {
            let isNew = try await mode.hold(reason: operation.reason, id: owner)
            return OperatorAction.Outcome(
                results: ["\(base) is \(isNew ? "held" : "still held") by \(owner): \(operation.reason)"])
        }
        if wait { action.follow = { try await waitUntilPaused(mode) } }
        return action
    }

    private func waitUntilPaused(_ mode: ExclusiveMode) async throws -> OperatorAction.Outcome {
        do {
            try await mode.waitUntilPaused(timeout: timeout?.duration)
            return OperatorAction.Outcome(results: ["all processors have paused"])
        } catch let error as RecipeError where error.code == .notPaused {
            let time = "within \(timeout?.description ?? "")"
            let processors = error.participants.joined(separator: ", ")
            return OperatorAction.Outcome(
                results: [],
                problems: [
                    processors.isEmpty
                        ? "not all processors are known to have paused \(time): \(error.message ?? "")"
                        : "the hold remains, but these processors have not paused \(time): \(processors)"
                ])
        }
    }

    private static func effects(_ status: ExclusiveStatus) -> [String] {
        var lines: [String] = []
        let running = status.processors.filter { $0.activity != .paused }.map(\.id)
        if !running.isEmpty { lines.append("These processors pause: \(running.joined(separator: ", ")).") }
        if let window = status.window {
            lines.append("The processors stay paused when the window of \(window.participantID) ends.")
        }
        return lines + ["The processors resume after `zkrecipes exclusive unhold`."]
    }
}

struct ExclusiveUnholdCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "unhold",
        abstract: "Removes a hold; if it was the last one, the processors resume.",
        discussion: """
            HOLD is the owner of the hold, which `zkrecipes exclusive status` prints. Without it, the only hold is \
            removed; if there are several, they are listed, and nothing is changed.

            While a window is open, the last hold is not removed: this command waits for the end of the window. If the \
            command ends before that, the hold remains.

            Without a terminal, --yes is required.

            \(HelpText.example("zkrecipes exclusive unhold /orders ada --yes"))

            \(HelpText.exitStatus([
                "0": "the hold is removed, or there is none",
                "1": "the hold remains, because a window is open; nothing exists at BASE, or no connection",
                "64": "invalid option or argument, no hold has this owner, or --yes is missing",
            ]))
            """)

    @Argument(help: ExclusiveCommand.baseHelp, transform: parsePath)
    var base: String

    @Argument(help: ArgumentHelp("The owner of the hold. (default: the owner of the only hold)", valueName: "hold"))
    var owner: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var operation: OperatorOptions

    @Option(
        "Give up if a window has not ended after this time; the hold remains.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var timeout: DurationArgument?

    func validate() throws { try operation.requireConfirmation() }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let mode = try ExclusiveMode(client: client, path: base)
        let status = try await mode.status()
        guard !status.isEmpty else {
            throw try await NothingThere("no processors, windows or records", at: base, client)
        }
        guard let hold = try Self.select(owner, from: status.holds, of: base) else {
            return OperatorAction(description: "remove a hold from \(base)", unchanged: ["\(base) is not held"])
        }
        let others = Self.list(status.holds.filter { $0 != hold })
        let window = others.isEmpty ? status.window : nil
        let after = window.map { " after the window of \($0.participantID)" } ?? ""
        return OperatorAction(
            description: "remove the hold of \(hold.participantID) from \(base): \(hold.reason)",
            effects: [
                others.isEmpty ? "All processors resume\(after)." : "The processors stay paused for \(others)."
            ],
            notice: window.map { "waiting for the end of the window of \($0.participantID)" }
        ) {
            do {
                let isRemoved = try await mode.removeHold(hold.participantID, timeout: timeout?.duration)
                let left = Self.list(try await mode.status().holds)
                return OperatorAction.Outcome(results: [
                    (isRemoved
                        ? "the hold of \(hold.participantID) is removed; "
                        : "the hold of \(hold.participantID) had been removed; ")
                        + (left.isEmpty ? "the processors resume" : "the processors stay paused for \(left)")
                ])
            } catch let error as RecipeError where error.code == .timedOut {
                return OperatorAction.Outcome(
                    results: [],
                    problems: [
                        "a window has not ended within \(timeout?.description ?? ""): `zkrecipes exclusive status "
                            + "\(base)` shows it, and whether the hold remains"
                    ])
            }
        }
    }

    /// Returns the owners of holds, as in `the holds of ada, bob`; empty if there are none.
    private static func list(_ holds: [ExclusiveHold]) -> String {
        holds.isEmpty ? "" : "the holds of \(holds.map(\.participantID).joined(separator: ", "))"
    }

    /// Returns the hold to remove; `nil` if there is none.
    ///
    /// - Throws: `ValidationError` with all holds, if none of them has this owner, or if there are several.
    static func select(_ owner: String?, from holds: [ExclusiveHold], of base: String) throws -> ExclusiveHold? {
        guard !holds.isEmpty else { return nil }
        let selected = owner.map { owner in holds.filter { $0.participantID.hasBytes(of: owner) } } ?? holds
        if selected.count == 1 { return selected[0] }
        let list = holds.map { Text.escaped($0.line) }.joined(separator: "; ")
        throw ValidationError(
            owner.map { "\(Text.quoted($0)) has no hold of \(base), which is held \(list)" }
                ?? "\(base) has \(holds.count) holds, name the owner of one: \(list)")
    }
}

extension ExclusiveHold {
    /// The owner, the time and the reason.
    var line: String { "by \(participantID) since \(since.secondsText): \(reason)" }
}
