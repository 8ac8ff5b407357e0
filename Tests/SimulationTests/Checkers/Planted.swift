import Testing
import ZooKeeper
import ZooKeeperSimulator

/// A deed of a made-up history: milliseconds, who, what.
typealias Deed<Action> = (Int64, String, Action)

/// A history made up by hand.
func history<Action: Sendable>(_ deeds: [Deed<Action>]) -> [HistoryEntry<Action>] {
    deeds.map { HistoryEntry(time: MonotonicInstant(nanoseconds: $0.0 * 1_000_000), process: $0.1, action: $0.2) }
}

/// A bug, the history that it makes, and the rules that reject it, in the order of the violations.
struct Planted<Action: Sendable>: Sendable, CustomTestStringConvertible {
    let bug: String
    let rules: [String]
    let entries: [HistoryEntry<Action>]

    init(_ bug: String, breaks rules: String..., in deeds: [Deed<Action>]) {
        self.bug = bug
        self.rules = rules
        entries = history(deeds)
    }

    var testDescription: String { bug }

    /// Expects exactly these rules, in this order, each shown by entries in order of time.
    func expectRejection(
        by checker: some HistoryChecker<Action>, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let found = checker.violations(in: entries)
        #expect(found.map(\.rule) == rules, "\(bug): \(found)", sourceLocation: sourceLocation)
        for violation in found {
            let times = violation.entries.map { entries[$0].time }
            #expect(times == times.sorted(), sourceLocation: sourceLocation)
        }
    }
}
