public import ZooKeeperRecipes

/// How often a task may be begun for one period.
public enum TaskDelivery: String, Sendable, Hashable, CaseIterable {
    /// Never twice: a run whose runner died after it had begun is not begun again.
    case atMostOnce
    /// Until it has ended: a run whose runner died is begun again.
    case atLeastOnce
}

/// What becomes of a run that had begun and whose runner died, was stopped or lost the leadership.
///
/// A run that was claimed and had not begun is always begun by the next leader: that can be told apart.
public enum TakeoverPolicy: String, Sendable, Hashable, CaseIterable {
    /// It is begun anew, as the next attempt.
    case rerun
    /// It is begun as the next attempt and given the last checkpoint.
    case resume
    /// It is left alone; its record is `abandoned` and says why.
    case skip
    /// An operator decides; until then the schedule stands still.
    case askOperator
}

/// What becomes of periods that nobody was there for.
public struct MissedPolicy: Sendable, Hashable {
    enum Kind: Hashable { case none, latest, all(Duration) }

    let kind: Kind

    /// They are left out; a record says so.
    public static let none = MissedPolicy(kind: .none)
    /// The latest one is run late; a record says that those before it were left out.
    public static let latest = MissedPolicy(kind: .latest)

    /// All that began within a time before now are run, the oldest first; a record says which were older.
    public static func all(within span: Duration) -> MissedPolicy { MissedPolicy(kind: .all(span)) }
}

/// What becomes of a period that begins while a run is still on.
///
/// Runs that catch up, fill back or were asked for by an operator do not count, except for ``cancelOther``: periods that
/// begin meanwhile wait for their end, and are late or missed then.
public enum OverlapPolicy: String, Sendable, Hashable, CaseIterable {
    /// The period is left out; its record says so.
    case skip
    /// The latest such period begins when the run has ended; those before it are left out.
    case queueOne
    /// The run is cancelled and awaited, then the period begins.
    case cancelOther
}

/// How a scheduled task behaves; the same on every node.
public struct ScheduledTaskConfiguration: Sendable {
    /// What becomes of a run that is on when its process shuts down gracefully.
    public struct ShutdownPolicy: Sendable, Hashable {
        enum Kind: Hashable { case cancelRun, finishRun }

        let kind: Kind

        /// The run is cancelled at once and awaited, and its record says that it was interrupted.
        ///
        /// The place is given up within milliseconds when the task heeds its cancellation; the takeover policy decides
        /// what follows.
        public static let cancelRun = ShutdownPolicy(kind: .cancelRun)
        /// The run goes on until the task returns, which sees the shutdown by `cancelWhenGracefulShutdown` and the like.
        ///
        /// The node begins no other one, and gives its place up when the run's end is recorded. Cancelling the node, as a
        /// `ServiceGroup` does after its `maximumGracefulShutdownDuration`, cancels the run.
        public static let finishRun = ShutdownPolicy(kind: .finishRun)
    }

    /// What becomes of a run whose runner died; `nil` means ``TakeoverPolicy/rerun`` when delivery is at least once, else
    /// ``TakeoverPolicy/skip``.
    public var takeover: TakeoverPolicy?
    /// What becomes of periods that nobody was there for.
    public var missed = MissedPolicy.latest
    /// What becomes of a period that begins while a run is still on.
    public var overlap = OverlapPolicy.skip
    /// How late a period may begin before it counts as missed: longer than a takeover takes.
    public var missedAfter: Duration = .seconds(600)
    /// What becomes of a run that is on when the process shuts down gracefully; a node that runs nothing leaves at once.
    public var onGracefulShutdown: ShutdownPolicy = .cancelRun
    /// Whether a run that fails pauses the task, until an operator resumes it.
    public var pauseOnFailure = false
    /// Each run happens inside a window of this, and with the window's token.
    public var exclusive: ExclusiveMode?
    /// What a window does about processors that do not pause.
    public var drain = DrainPolicy.wait
    /// How far this node's wall clock may be from the ensemble's; beyond it the node does not take the schedule.
    public var skewLimit: Duration = .seconds(10)
    /// How often the ensemble's clock is read while leading, which costs one write.
    public var clockInterval: Duration = .seconds(300)
    /// How many records are kept; those of runs that have not ended are kept besides.
    public var keepRuns = 100
    /// Pauses, priority and the like of the election.
    ///
    /// What it says of a graceful shutdown does not count: see ``onGracefulShutdown``.
    public var leadership = LeaderConfiguration()

    /// Makes a configuration with these defaults.
    public init() {}

    func validate(_ delivery: TaskDelivery, path: String) throws(RecipeError) {
        func check(_ isRight: Bool, _ message: String) throws(RecipeError) {
            if !isRight { throw RecipeError(.invalidArgument, in: .scheduledTask, path: path, message: message) }
        }
        let beginsAgain = takeover == .rerun || takeover == .resume
        try check(
            !(delivery == .atMostOnce && beginsAgain),
            "takeover is .\(takeover?.rawValue ?? ""), which begins a run twice, and delivery is .atMostOnce: choose "
                + ".skip or .askOperator, or .atLeastOnce")
        if case .all(let span) = missed.kind {
            try check(
                span >= missedAfter,
                "missed periods within \(span) are run, and one is missed after \(missedAfter): the former is at least "
                    + "as long")
        }
        let longest = Duration.seconds(36_525 * 86_400)
        for (name, value) in [("missedAfter", missedAfter), ("skewLimit", skewLimit), ("clockInterval", clockInterval)]
        {
            try check(
                value > .zero && value <= longest, "\(name) is \(value); it must be over 0 and at most 100 years")
        }
        try check(keepRuns > 0, "keepRuns is \(keepRuns); it must be over 0")
    }

    /// How the election goes: a term that finishes its run ends by itself then.
    var election: LeaderConfiguration {
        var election = leadership
        election.onGracefulShutdown = onGracefulShutdown == .finishRun ? .finishTerm : .cancelTerm
        return election
    }

    func takeover(_ delivery: TaskDelivery) -> TakeoverPolicy {
        takeover ?? (delivery == .atLeastOnce ? .rerun : .skip)
    }
}
