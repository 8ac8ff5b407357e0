internal import ZooKeeper

/// What a participant does for a task that runs once a period, on one node.
package enum PeriodAction: Sendable, Hashable {
    /// It took the period and starts the task.
    case claimed(period: String, token: Int64)
    /// The task is done and recorded as done.
    case completed(period: String, token: Int64)
    /// It leaves the period alone; by one that had claimed it: gives it up.
    case skipped(period: String, reason: String)
    /// The claim was lost before the task was done.
    case lost(period: String, token: Int64)
    /// The process died.
    case crashed
}

/// Judges a task that runs once a period.
///
/// It promises to find: an expected period that was not completed, or twice; a completed one that was not expected; a
/// completion by somebody else than the latest claimant or with another token; a claim whose token does not grow within its
/// period; and a claim of a period whose claim before did not fail, by a crash, a loss, or being given up. A failure may be
/// recorded after the next claim, because a frozen claimant learns of it late; after a completion it explains nothing.
///
/// It cannot see how far a task came that was not completed, nor an attempt that never claimed. A claimant that is still
/// frozen when the history stops explains nothing: the scenario thaws it or records its crash.
package struct OncePerPeriodChecker: HistoryChecker {
    package static let completion = "Each expected period is completed exactly once"
    package static let unexpected = "Only expected periods are completed"
    package static let claimant = "A period is completed under its latest claim"
    package static let growth = "The tokens of a period's claims grow"
    package static let reattempt = "A second claim follows the failure of the first"

    /// The periods that must be completed, each once.
    package var expected: [String]

    package init(periods expected: [String]) {
        self.expected = expected
    }

    package func violations(in history: [HistoryEntry<PeriodAction>]) -> [Violation] {
        var records = PeriodRecords(history)
        records.judgeCompletions(expected)
        return records.violations.inOrder()
    }
}

/// Claims and completions by period.
private struct PeriodRecords {
    private struct Claim {
        var process: String
        var token: Int64
        var entry: Int
        /// It failed before it was completed.
        var hasFailed = false
        var isCompleted = false

        mutating func fail() { hasFailed = hasFailed || !isCompleted }
    }

    private struct Period {
        var claims: [Claim] = []
        var completions: [Int] = []
        var reasons: [String] = []
    }

    private let history: [HistoryEntry<PeriodAction>]
    /// In the order in which they first appear.
    private var names: [String] = []
    private var periods: [ZNodeName: Period] = [:]
    /// The claims of each process since it last crashed: the period and the claim's index.
    private var open: [ZNodeName: [(period: String, claim: Int)]] = [:]
    private(set) var violations: [Violation] = []

    init(_ history: [HistoryEntry<PeriodAction>]) {
        self.history = history
        for entry in chronology(of: history) { add(entry) }
    }

    private mutating func add(_ entry: Int) {
        let process = history[entry].process
        switch history[entry].action {
        case .claimed(let name, let token):
            claim(name, Claim(process: process, token: token, entry: entry))
        case .completed(let name, let token):
            complete(name, token, entry)
        case .skipped(let name, let reason):
            note(name)
            periods[name]?.reasons.append("\(process): \(reason)")
            fail(name, by: process, token: nil)
        case .lost(let name, let token):
            fail(name, by: process, token: token)
        case .crashed:
            for (name, claim) in open.removeValue(forKey: process) ?? [] {
                periods[name]?.claims[claim].fail()
            }
        }
    }

    private mutating func note(_ name: String) {
        guard periods[name] == nil else { return }
        names.append(name)
        periods[name] = Period()
    }

    private mutating func claim(_ name: String, _ claim: Claim) {
        note(name)
        if let before = periods[name]?.claims.last, before.token >= claim.token {
            report(
                OncePerPeriodChecker.growth,
                "\(claim.process) claimed \(name) with \(claim.token) after \(before.token)",
                [before.entry, claim.entry])
        }
        open[claim.process, default: []].append((name, periods[name]?.claims.count ?? 0))
        periods[name]?.claims.append(claim)
    }

    /// The process's latest claim of the period failed, or the one with this token.
    private mutating func fail(_ name: String, by process: String, token: Int64?) {
        let index = periods[name]?.claims.lastIndex {
            $0.process.hasBytes(of: process) && $0.token == token ?? $0.token
        }
        guard let index else { return }
        periods[name]?.claims[index].fail()
    }

    private mutating func complete(_ name: String, _ token: Int64, _ entry: Int) {
        note(name)
        let process = history[entry].process
        periods[name]?.completions.append(entry)
        let latest = periods[name]?.claims.last
        let own = periods[name]?.claims.lastIndex { $0.process.hasBytes(of: process) && $0.token == token }
        if let claim = own {
            periods[name]?.claims[claim].isCompleted = true
        }
        guard latest?.token != token || latest?.process.hasBytes(of: process) != true else { return }
        let claim = latest.map { "the latest claim is \($0.process)'s with \($0.token)" } ?? "nobody had claimed it"
        report(
            OncePerPeriodChecker.claimant, "\(process) completed \(name) with \(token); \(claim)",
            (latest.map { [$0.entry] } ?? []) + [entry])
    }

    mutating func judgeCompletions(_ expected: [String]) {
        for name in names { judgeClaims(name) }
        let expectedNames = Set(names: expected)
        for name in names where !expectedNames.contains(name) {
            guard let completion = periods[name]?.completions.first else { continue }
            report(OncePerPeriodChecker.unexpected, "\(history[completion].process) completed \(name)", [completion])
        }
        for name in expected {
            let period = periods[name] ?? Period()
            guard period.completions.count != 1 else { continue }
            let reasons = period.reasons.isEmpty ? "" : "; skipped by \(period.reasons.joined(separator: ", "))"
            report(
                OncePerPeriodChecker.completion, "\(name) was completed \(period.completions.count) times\(reasons)",
                period.completions)
        }
    }

    private mutating func judgeClaims(_ name: String) {
        guard let claims = periods[name]?.claims else { return }
        for (first, second) in zip(claims, claims.dropFirst()) where !first.hasFailed {
            report(
                OncePerPeriodChecker.reattempt, "\(second.process) claimed \(name), which \(first.process) had claimed",
                [first.entry, second.entry])
        }
    }

    private mutating func report(_ rule: String, _ detail: String, _ entries: [Int]) {
        violations.append(Violation(rule: rule, detail: detail, entries: entries))
    }
}
