public import ZooKeeper
internal import ZooKeeperRecipes

/// The pending operator commands of a scheduled task; the content of `PATH/control`.
public struct OperatorCommands: Sendable, Hashable {
    /// A pause of the task.
    public struct Pause: Sendable, Hashable {
        /// The reason, in the words of an operator or of the run that failed.
        public var reason: String
        /// The operator or the node that paused the task.
        public var requestedBy: String

        /// Creates a pause.
        public init(reason: String, requestedBy: String) {
            self.reason = reason
            self.requestedBy = requestedBy
        }
    }

    /// A range of periods to run again, or for the first time.
    public struct Backfill: Sendable, Hashable {
        /// The earliest start of a period.
        public var from: Timestamp
        /// The latest start of a period.
        public var through: Timestamp
        /// The operator who requested the backfill.
        public var requestedBy: String

        /// Creates a range.
        public init(from: Timestamp, through: Timestamp, requestedBy: String) {
            self.from = from
            self.through = through
            self.requestedBy = requestedBy
        }
    }

    /// An operator's decision about a run whose node died.
    public enum Decision: String, Sendable, Hashable, CaseIterable {
        /// Start the run again.
        case rerun
        /// Start the run again with its last checkpoint.
        case resume
        /// Do not start the run again.
        case skip
    }

    /// A kind of command that waits for a node to carry it out, and that can be withdrawn until then.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// The requests for a run now.
        case now
        /// The requests to skip the next period.
        case skip
        /// The backfill.
        case backfill
    }

    /// The current pause; while it is set, no run is started and periods that start are skipped.
    public var pause: Pause?
    /// The operators who requested a run now, in order; each entry is one run.
    public var runRequests: [String] = []
    /// The operators who asked to skip the next period, in order; each entry is one period.
    public var skipRequests: [String] = []
    /// The range of past periods to run: all that are not completed, each once.
    public var backfill: Backfill?
    /// The decisions about runs that wait for one, by period ID.
    public var decisions: [String: Decision] = [:]
    /// The operators who decided about runs, by period ID; a decision of an older version has none.
    public var decisionOperators: [String: String] = [:]

    /// Creates a value without commands.
    public init() {}

    /// Removes all commands of some kinds.
    ///
    /// - Returns: The removed commands.
    mutating func remove(_ kinds: Set<Kind>) -> OperatorCommands {
        var removed = OperatorCommands()
        for kind in kinds {
            switch kind {
            case .now: swap(&removed.runRequests, &runRequests)
            case .skip: swap(&removed.skipRequests, &skipRequests)
            case .backfill: swap(&removed.backfill, &backfill)
            }
        }
        return removed
    }

    init(_ data: [UInt8]) {
        let text = KeyValueData(data)
        if let note = text["paused"] { pause = Pause(reason: note, requestedBy: text["paused.by"] ?? "") }
        for (key, value) in text.fields {
            if key == "run" { runRequests.append(value) }
            if key == "skip" { skipRequests.append(value) }
            if key.hasPrefix("answered-by.") { decisionOperators[String(key.dropFirst("answered-by.".count))] = value }
            if key.hasPrefix("answer."), let answer = Decision(rawValue: value) {
                decisions[String(key.dropFirst("answer.".count))] = answer
            }
        }
        if let from = text["backfill.from"].flatMap(Timestamp.init),
            let through = text["backfill.through"].flatMap(Timestamp.init)
        {
            backfill = Backfill(from: from, through: through, requestedBy: text["backfill.by"] ?? "")
        }
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        text["paused"] = pause?.reason
        text["paused.by"] = pause?.requestedBy
        text.append("run", runRequests)
        text.append("skip", skipRequests)
        text["backfill.from"] = backfill?.from.millisecondsText
        text["backfill.through"] = backfill?.through.millisecondsText
        text["backfill.by"] = backfill?.requestedBy
        for (period, answer) in decisions.sorted(by: { $0.key < $1.key }) { text["answer.\(period)"] = answer.rawValue }
        for (period, id) in decisionOperators.sorted(by: { $0.key < $1.key }) { text["answered-by.\(period)"] = id }
        return text.bytes
    }
}
