public import Foundation
public import ZooKeeperRecipes

/// What is kept of the run of one period: who, when, with which token, and how it ended.
public struct RunRecord: Sendable, Hashable {
    /// Why there is a run.
    public enum Kind: String, Sendable, Hashable {
        /// The schedule struck.
        case scheduled
        /// An operator asked for it now.
        case requested
        /// An operator asked for a range of past periods.
        case backfill
        /// A node took the leadership, with ``Schedule/startsWithLeadership``.
        case term
    }

    /// How far a run has come.
    public enum State: String, Sendable, Hashable {
        /// A node has taken it and not begun it.
        case claimed
        /// The task was begun.
        case started
        /// The task was begun and stopped with its node's leadership; the takeover policy decides what follows.
        case interrupted
        /// An operator must decide what follows.
        case awaitingOperator
        /// The task returned.
        case completed
        /// The task threw an error.
        case failed
        /// It was never begun.
        case skipped
        /// It was begun and will not be ended.
        case abandoned

        /// Whether something is still to be done about it.
        public var isOpen: Bool {
            switch self {
            case .claimed, .started, .interrupted, .awaitingOperator: true
            case .completed, .failed, .skipped, .abandoned: false
            }
        }
    }

    /// An attempt that was followed by another one.
    public struct Attempt: Sendable, Hashable {
        /// From 1.
        public var number: Int
        /// Who made it.
        public var node: String
        /// Its token.
        public var token: FencingToken?
        /// Why there was another one.
        public var reason: String
    }

    /// What an exclusive run cost the processors.
    public struct Window: Sendable, Hashable {
        /// The window's token.
        public var token: FencingToken
        /// How many processors paused.
        public var processors: Int
        /// From asking them to pause to the last acknowledgement.
        public var drained: Duration
        /// The one that paused last.
        public var slowest: String?
        /// Those whose place was taken away because they did not pause.
        public var forced: [String]
        /// From asking them to pause until they were told to resume; `nil` while the window is open, or when it never ended in order.
        public var resumed: Duration?
    }

    /// The period's name; that of the record's znode.
    public var period: String
    /// Why there is a run.
    public var kind: Kind
    /// When the period begins.
    public var start: Date
    /// When the next one begins.
    public var end: Date?
    /// What daylight saving has changed.
    public var remark: String?
    /// How far the run has come.
    public var state: State
    /// Who claimed it last, or wrote the record.
    public var node: String
    /// The term of the election in which it was claimed or written.
    public var term: FencingToken
    /// The last attempt's token: the transaction that claimed it.
    public var token: FencingToken?
    /// How often it was claimed.
    public var attempt: Int
    /// When it was claimed last, by the ensemble's clock.
    public var claimed: Date?
    /// When the task was begun last.
    public var started: Date?
    /// When the last attempt ended, or it was decided that there is none.
    public var ended: Date?
    /// Why it is late, was left out or was given up, or the task's error.
    public var explanation: String?
    /// The first of the periods that this record leaves out, when it does so for several: they have no records of their own.
    public var leavesOutFrom: String?
    /// What the task noted last.
    public var checkpoint: String?
    /// The attempts before the last one.
    public var previous: [Attempt]
    /// What the pause of the processors cost.
    public var window: Window?

    /// From the last beginning of the task to its end, in whole milliseconds.
    public var duration: Duration? {
        guard let started, let ended else { return nil }
        return Duration(nearest: ended.timeIntervalSince(started))
    }
}

extension RunRecord {
    init(_ period: Schedule.Period, kind: Kind, state: State, node: String, term: FencingToken) {
        self.init(
            period: period.id, kind: kind, start: period.start, end: period.end, remark: period.remark, state: state,
            node: node, term: term, token: nil, attempt: 0, claimed: nil, started: nil, ended: nil, explanation: nil,
            leavesOutFrom: nil, checkpoint: nil, previous: [], window: nil)
    }

    /// Whether it decides about a period of the schedule, and all that begin before it.
    var isWatermark: Bool { kind == .scheduled }
}
