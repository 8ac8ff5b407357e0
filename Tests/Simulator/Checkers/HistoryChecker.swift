internal import ZooKeeper

/// A promise that a history breaks.
package struct Violation: Sendable, Hashable, CustomStringConvertible {
    /// The promise, as a short sentence that is the same for each breach of it.
    package var rule: String
    /// Who broke it, when, and with which tokens.
    package var detail: String
    /// The entries that show it, as indices into the history, in order of time.
    package var entries: [Int]

    package init(rule: String, detail: String, entries: [Int]) {
        self.rule = rule
        self.detail = detail
        self.entries = entries
    }

    /// The promise, the detail and the entries' indices.
    package var description: String { "\(rule): \(detail) (entries \(entries))" }
}

/// Judges a history by what its participants did.
///
/// Entries are taken in the order of their times; those of one instant in the order in which they were recorded. The same
/// history always gives the same violations in the same order. No checker can see what was not recorded.
package protocol HistoryChecker<Action> {
    associatedtype Action: Sendable

    /// Every breach that the history shows, in the order of the last entries that show them; none if all promises held.
    ///
    /// - Complexity: O(*n* log *n*) in the number of entries.
    func violations(in history: [HistoryEntry<Action>]) -> [Violation]
}

/// Indices of a history's entries in the order in which they happened.
func chronology<Action>(of history: [HistoryEntry<Action>]) -> [Int] {
    history.indices.sorted { left, right in
        let (first, second) = (history[left].time, history[right].time)
        return first == second ? left < right : first < second
    }
}

extension [Violation] {
    /// In the order of the last entries that show them, then of the first ones.
    func inOrder() -> [Violation] {
        enumerated().sorted { left, right in
            let first = (left.element.entries.last ?? 0, left.element.entries.first ?? 0, left.offset)
            return first < (right.element.entries.last ?? 0, right.element.entries.first ?? 0, right.offset)
        }.map(\.element)
    }
}

extension MonotonicInstant {
    /// The instant in seconds with a millisecond's precision or better, for people.
    var inSeconds: String { "\(Double(nanoseconds) / 1e9) s" }
}
