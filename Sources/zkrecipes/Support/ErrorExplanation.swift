import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

extension RecipeError {
    /// What happened and what to do about it, in words that do not require the error codes.
    var explanation: String {
        let path = Text.escaped(path)
        let names = participants.map(Text.escaped).joined(separator: ", ")
        let text: String? =
            switch code {
            case .lost: "\(subject) was lost" + (lossReason.map { ": \(Text.escaped("\($0)"))" } ?? "")
            case .timedOut: "\(subject) was not acquired in time"
            case .notAvailable where recipe == .lock && message != nil: message.map(Text.escaped)
            case .notAvailable where recipe == .scheduledTask:
                "\(message.map(Text.escaped) ?? "a backfill is pending"); wait until it has ended, withdraw it with "
                    + "`zkrecipes schedule withdraw \(path) backfill`, or use --replace"
            case .notAvailable:
                recipe == .exclusiveMode
                    ? "another window at \(path) is requested or open" + (names.isEmpty ? "" : ", by \(names)")
                    : "another participant holds \(subject) or waits for it"
            case .notPaused:
                "the window did not open, and all processors resume, because these did not pause in time: \(names); "
                    + "`zkrecipes exclusive status \(path)` shows what they wait for"
            case .notFound where recipe == .scheduledTask:
                "there is no scheduled task at \(path): check the path, or start a node with `zkrecipes schedule run`"
            case .notFound where recipe == .exclusiveMode: message.map { "\(path): \(Text.escaped($0))" }
            case .notFound where recipe == .partitionGroup:
                "there is no partition group at \(path): check the path, or start a node with "
                    + "`zkrecipes partitions run`"
            case .notAnswered, .notLeading: message.map(Text.escaped)
            case .notAwaitingDecision: "there is nothing to decide at \(path)"
            case .conflict: "other processes keep changing \(path): try again"
            case .duplicate: "another participant at \(path) has the same name: use a different one"
            case .unreadable: "the data of \(path) are invalid"
            case .queueNumbersExhausted: "the sequence numbers of the queue at \(path) are used up"
            case .invalidArgument: message == nil ? nil : "invalid argument for \(path)"
            default: nil
            }
        guard let text else { return description }
        let isComplete = [.notAvailable, .notPaused, .notFound, .notAnswered, .notLeading].contains(code)
        guard let message, !isComplete else { return text }
        return "\(text): \(Text.escaped(message))"
    }

    /// The lock, leadership, window or run that the error is about.
    private var subject: String {
        let kind =
            switch recipe {
            case .lock: "lock"
            case .election: "leadership"
            case .exclusiveMode: "window"
            case .scheduledTask: "run of the task"
            default: recipe.rawValue
            }
        return "the \(kind) at \(Text.escaped(path))"
    }
}
