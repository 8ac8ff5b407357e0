public import ZooKeeperRecipes

/// The guarantee on how often a task is started for one period.
public enum TaskDelivery: String, Sendable, Hashable, CaseIterable {
    /// At most once: if a node dies during a run, the run is not started again unless an operator requests it.
    case atMostOnce
    /// At least once: if a node dies during a run, the run is started again until it has ended.
    case atLeastOnce
}

/// The handling of a run that had started when its node died, was stopped or lost the leadership.
///
/// A run that was claimed but not started is distinguishable. The next leader always starts it.
public enum TakeoverPolicy: String, Sendable, Hashable, CaseIterable {
    /// Starts the run again, as the next attempt.
    case rerun
    /// Starts the run as the next attempt, with the last checkpoint.
    case resume
    /// Does not start the run again; its record becomes `abandoned` and contains the reason.
    case skip
    /// Waits for an operator's decision; the schedule is blocked until then.
    case askOperator
}

/// The handling of periods that started without a node to run them.
public struct MissedPolicy: Sendable, Hashable {
    enum Kind: Hashable { case none, latest, all(Duration) }

    let kind: Kind

    /// Skips missed periods; a record says so.
    public static let none = MissedPolicy(kind: .none)
    /// Runs the latest missed period late; a record says that the periods before it were skipped.
    public static let latest = MissedPolicy(kind: .latest)

    /// Runs all missed periods that started within a duration before now, the oldest first.
    ///
    /// A record says which older periods were skipped.
    ///
    /// - Parameter span: The age up to which missed periods are run; at least
    ///   ``ScheduledTask/Configuration/missedAfter``.
    public static func all(within span: Duration) -> MissedPolicy { MissedPolicy(kind: .all(span)) }
}

/// The handling of a period that starts while a run is in progress.
///
/// Except for ``cancelOther``, the policy applies only to runs that started on time. A period that starts during any
/// other run waits until that run has ended. It is then late; with ``skip`` it may count as missed. Such other runs are
/// those of missed periods, backfills, takeovers and operator requests.
public enum OverlapPolicy: String, Sendable, Hashable, CaseIterable {
    /// Skips the period; its record says so.
    case skip
    /// Starts the latest such period when the run has ended, and skips those before it.
    case queueOne
    /// Cancels and awaits the run, then starts the period.
    case cancelOther
}

extension ScheduledTask {
    /// The policies and limits of a ``ScheduledTask``, which must be the same on every node.
    public struct Configuration: Sendable {
        /// The handling of a run in progress when its process shuts down gracefully.
        public struct ShutdownPolicy: Sendable, Hashable {
            enum Kind: Hashable { case cancelRun, finishRun }

            let kind: Kind

            /// Cancels the run at once and awaits it; its record is marked as interrupted.
            ///
            /// If the task responds to its cancellation, the leadership passes on within milliseconds. The takeover policy
            /// decides about the run.
            public static let cancelRun = ShutdownPolicy(kind: .cancelRun)
            /// Lets the run continue until the task returns.
            ///
            /// The task can observe the shutdown with `cancelWhenGracefulShutdown` and similar functions. The node starts
            /// no other run, and resigns when the end of the run is recorded. Cancelling the node cancels the run; a
            /// `ServiceGroup` does so after its `maximumGracefulShutdownDuration`.
            public static let finishRun = ShutdownPolicy(kind: .finishRun)
        }

        /// The handling of a run whose node died, was stopped or lost the leadership.
        ///
        /// `nil` means ``TakeoverPolicy/rerun`` for ``TaskDelivery/atLeastOnce`` and ``TakeoverPolicy/skip`` for
        /// ``TaskDelivery/atMostOnce``. Default: `nil`.
        public var takeover: TakeoverPolicy?
        /// The handling of periods that started without a node to run them.
        ///
        /// Default: ``MissedPolicy/latest``.
        public var missed = MissedPolicy.latest
        /// The handling of a period that starts while a run is in progress.
        ///
        /// Default: ``OverlapPolicy/skip``.
        public var overlap = OverlapPolicy.skip
        /// The maximum delay of the start of a period; a period that is later counts as missed.
        ///
        /// Default: 600 s.
        ///
        /// The value should be longer than a takeover takes.
        public var missedAfter: Duration = .seconds(600)
        /// The handling of a run in progress when the process shuts down gracefully.
        ///
        /// A node without a run leaves at once. Default: ``ShutdownPolicy/cancelRun``.
        public var onGracefulShutdown: ShutdownPolicy = .cancelRun
        /// Whether a failed run pauses the task until an operator resumes it.
        ///
        /// Default: `false`.
        public var pauseOnFailure = false
        /// The exclusive mode whose window each run uses, together with the window's fencing token.
        ///
        /// `nil` means that runs do not use a window. Default: `nil`.
        public var exclusive: ExclusiveMode?
        /// The handling of processors that do not pause for the window.
        ///
        /// Default: `DrainPolicy.wait`.
        public var drain = DrainPolicy.wait
        /// The maximum difference between this node's wall clock and the ensemble's clock.
        ///
        /// If the difference is larger, the node does not lead. Default: 10 s.
        public var maximumClockSkew: Duration = .seconds(10)
        /// The interval at which the leader reads the ensemble's clock, at the cost of one write each.
        ///
        /// Default: 300 s.
        public var clockInterval: Duration = .seconds(300)
        /// The number of records to keep, in addition to those of runs that have not ended.
        ///
        /// Default: 100.
        public var maximumRecords = 100
        /// The configuration of the election, such as pauses and priority.
        ///
        /// Its setting for the graceful shutdown is ignored; use ``onGracefulShutdown``. Default: `LeaderConfiguration()`.
        public var leadership = LeaderConfiguration()

        /// Creates a configuration with the default values.
        public init() {}

        func validate(_ delivery: TaskDelivery, path: String) throws(RecipeError) {
            func check(_ isRight: Bool, _ message: String) throws(RecipeError) {
                if !isRight { throw RecipeError(.invalidArgument, in: .scheduledTask, path: path, message: message) }
            }
            let beginsAgain = takeover == .rerun || takeover == .resume
            try check(
                !(delivery == .atMostOnce && beginsAgain),
                "takeover is .\(takeover?.rawValue ?? ""), which starts a run again, and delivery is .atMostOnce; use "
                    + ".skip or .askOperator, or .atLeastOnce")
            if case .all(let span) = missed.kind {
                try check(
                    span >= missedAfter,
                    "missed is .all(within: \(span)), which must be at least missedAfter, \(missedAfter)")
            }
            let longest = Duration.seconds(36_525 * 86_400)
            for (name, value) in [
                ("missedAfter", missedAfter), ("maximumClockSkew", maximumClockSkew), ("clockInterval", clockInterval),
            ] {
                try check(
                    value > .zero && value <= longest, "\(name) is \(value); it must be over 0 and at most 100 years")
            }
            try check(maximumRecords > 0, "maximumRecords is \(maximumRecords); it must be over 0")
        }

        /// The configuration of the election.
        ///
        /// With ``ShutdownPolicy/finishRun`` the term ends by itself after the run.
        var election: LeaderConfiguration {
            var election = leadership
            election.onGracefulShutdown = onGracefulShutdown == .finishRun ? .finishTerm : .cancelTerm
            return election
        }

        func takeover(_ delivery: TaskDelivery) -> TakeoverPolicy {
            takeover ?? (delivery == .atLeastOnce ? .rerun : .skip)
        }
    }
}
