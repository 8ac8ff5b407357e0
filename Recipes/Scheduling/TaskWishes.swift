public import Foundation
internal import ZooKeeperRecipes

/// What operators want of a scheduled task, beside its schedule; the content of `PATH/control`.
public struct TaskWishes: Sendable, Hashable {
    /// Why and by whom the task was paused.
    public struct Pause: Sendable, Hashable {
        /// Why, in an operator's words or those of the run that failed.
        public var note: String
        /// Who paused it.
        public var by: String

        /// Makes a pause.
        public init(note: String, by: String) {
            self.note = note
            self.by = by
        }
    }

    /// A range of periods to be run again, or for the first time.
    public struct Backfill: Sendable, Hashable {
        /// Periods that begin here or later.
        public var from: Date
        /// Periods that begin here or earlier.
        public var through: Date
        /// Who asked for it.
        public var by: String

        /// Makes a range.
        public init(from: Date, through: Date, by: String) {
            self.from = from
            self.through = through
            self.by = by
        }
    }

    /// What an operator decided about a run whose runner died.
    public enum Answer: String, Sendable, Hashable, CaseIterable {
        /// It is begun anew.
        case rerun
        /// It is begun with the last checkpoint.
        case resume
        /// It is left alone.
        case skip
    }

    /// While set, nothing is begun, and periods that begin are left out.
    public var pause: Pause?
    /// Who asked for a run now, the first first; each is one run.
    public var requests: [String] = []
    /// Who asked to leave the next period out, the first first; each is one period.
    public var skips: [String] = []
    /// Past periods to be run: all of the range that are not completed, each once.
    public var backfill: Backfill?
    /// Decisions about runs that wait for one, by period.
    public var answers: [String: Answer] = [:]

    /// Nothing is wanted.
    public init() {}

    init(_ data: [UInt8]) {
        let text = NodeText(data)
        if let note = text["paused"] { pause = Pause(note: note, by: text["paused.by"] ?? "") }
        for (key, value) in text.fields {
            if key == "run" { requests.append(value) }
            if key == "skip" { skips.append(value) }
            if key.hasPrefix("answer."), let answer = Answer(rawValue: value) {
                answers[String(key.dropFirst("answer.".count))] = answer
            }
        }
        if let from = text["backfill.from"].flatMap(UniversalTime.init)?.date,
            let through = text["backfill.through"].flatMap(UniversalTime.init)?.date
        {
            backfill = Backfill(from: from, through: through, by: text["backfill.by"] ?? "")
        }
    }

    var bytes: [UInt8] {
        var text = NodeText()
        text["paused"] = pause?.note
        text["paused.by"] = pause?.by
        text.append("run", requests)
        text.append("skip", skips)
        text["backfill.from"] = backfill.map { UniversalTime.preciseText($0.from) }
        text["backfill.through"] = backfill.map { UniversalTime.preciseText($0.through) }
        text["backfill.by"] = backfill?.by
        for (period, answer) in answers.sorted(by: { $0.key < $1.key }) { text["answer.\(period)"] = answer.rawValue }
        return text.bytes
    }
}
