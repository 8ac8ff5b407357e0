public import ZooKeeper
public import ZooKeeperRecipes

/// The record of one period's run: its node, its times, its fencing token and its outcome.
public struct RunRecord: Sendable, Hashable {
    /// The reason for a run.
    public enum Kind: String, Sendable, Hashable {
        /// An occurrence of the schedule.
        case scheduled
        /// An operator's request for a run now.
        case requested
        /// An operator's request to backfill a range of past periods.
        case backfill
        /// The start of a term of leadership, with ``Schedule/onLeadership``.
        case term
    }

    /// The progress of a run.
    public enum State: String, Sendable, Hashable {
        /// A node has claimed the run and has not started it.
        case claimed
        /// The task has started.
        case started
        /// The task started and was stopped by a shutdown or a loss of leadership; the takeover policy decides about
        /// it.
        case interrupted
        /// The run waits for an operator's decision.
        case awaitingOperator
        /// The task returned.
        case completed
        /// The task threw an error.
        case failed
        /// The run was never started.
        case skipped
        /// The run was started and will not be completed.
        case abandoned

        /// Whether a decision or an action for the run is still pending.
        public var isOpen: Bool {
            switch self {
            case .claimed, .started, .interrupted, .awaitingOperator: true
            case .completed, .failed, .skipped, .abandoned: false
            }
        }
    }

    /// An attempt that was followed by another one.
    public struct Attempt: Sendable, Hashable {
        /// The number of the attempt, from 1.
        public var number: Int
        /// The participant ID of the node that made the attempt.
        public var participantID: String
        /// The fencing token of the attempt.
        public var token: FencingToken?
        /// The reason for the next attempt.
        public var reason: String
    }

    /// The cost of an exclusive window for the processors.
    public struct Window: Sendable, Hashable {
        /// The fencing token of the window.
        public var token: FencingToken
        /// The number of processors that paused.
        public var processors: Int
        /// The time from the request to pause until the last acknowledgement.
        public var drainDuration: Duration
        /// The processor that paused last.
        public var slowestProcessor: String?
        /// The processors that were evicted because they did not pause.
        public var evicted: [String]
        /// The time from the request to pause until the processors were notified to resume.
        ///
        /// `nil` while the window is open, or if it never ended properly.
        public var resumed: Duration?
    }

    /// The period's ID, which is also the name of the record's znode.
    public var period: String
    /// The reason for the run.
    public var kind: Kind
    /// The time at which the period starts.
    public var start: Timestamp
    /// The time at which the next period starts; `nil` if there is none.
    public var end: Timestamp?
    /// A note on the period: the effect of daylight saving, or who requested the run; `nil` if there is none.
    public var note: String?
    /// The progress of the run.
    public var state: State
    /// The participant ID of the node that made the last claim, or wrote the record.
    public var participantID: String
    /// The term of the election in which the record was claimed or written.
    public var term: FencingToken
    /// The fencing token of the last attempt: the transaction that claimed it, or the token of its window.
    public var token: FencingToken?
    /// The number of times the run was claimed.
    public var attempt: Int
    /// The time of the last claim, by the ensemble's clock.
    public var claimedAt: Timestamp?
    /// The time at which the task was last started.
    public var startedAt: Timestamp?
    /// The time at which the last attempt ended, or at which the decision was made that there is none.
    public var endedAt: Timestamp?
    /// The reason why the run is late, was skipped or was abandoned, or the error that the task threw.
    public var message: String?
    /// The ID of the first period that this record covers, if it skips several: the earlier ones have no records.
    public var firstSkippedPeriod: String?
    /// The last checkpoint of the task.
    public var checkpoint: String?
    /// The attempts before the last one.
    public var previousAttempts: [Attempt]
    /// The cost of the exclusive window; `nil` if the run did not use one.
    public var window: Window?

    /// The time from the last start of the task until its end, in whole milliseconds.
    public var duration: Duration? {
        guard let startedAt, let endedAt else { return nil }
        return endedAt - startedAt
    }
}

extension RunRecord {
    init(_ period: Schedule.Period, kind: Kind, state: State, participantID: String, term: FencingToken) {
        self.init(
            period: period.id, kind: kind, start: period.start, end: period.end, note: period.note, state: state,
            participantID: participantID, term: term, token: nil, attempt: 0, claimedAt: nil, startedAt: nil,
            endedAt: nil,
            message: nil, firstSkippedPeriod: nil, checkpoint: nil, previousAttempts: [], window: nil)
    }

    /// Whether the record marks the progress of the schedule: it decides about its period and all earlier ones.
    var isWatermark: Bool { kind == .scheduled }
}
