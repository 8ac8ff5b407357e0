internal import ZooKeeper

/// What a node does with the partitions that it owns.
package enum PartitionAction: Sendable, Hashable {
    /// It owns the partition from here on.
    case began(partition: String, token: Int64)
    /// A piece of work on the partition, what the ownership said of itself, and whether a store took its token, if one was
    /// asked.
    case acted(partition: String, token: Int64, isValid: Bool, accepted: Bool? = nil)
    /// It has given the partition up.
    case ended(partition: String, token: Int64)
    /// The node died, and all that it owned with it; anybody may record it.
    case crashed(node: String)
}

/// Judges partitions that are spread over nodes.
///
/// It promises to find, for each partition: two owners valid at once, with all that ``FencedMutexChecker`` finds of grants; and
/// a time without an owner that was longer than the bound. An ownership is over as a term is for ``LeaderChecker``: an owner
/// has to act on each of its partitions more often than the bound.
///
/// It cannot see a partition that nobody ever owned, nor whether a node was there to take one over, nor whether the preferred one
/// has it.
package struct PartitionChecker: HistoryChecker {
    package static let rules = GrantRules(overlap: "A partition has at most one valid owner")
    /// The rule of succession.
    package static let succession = "A partition is active again within the bound"

    /// The longest time without an owner.
    package var activeAgainWithin: Duration

    package init(activeAgainWithin: Duration) {
        self.activeAgainWithin = activeAgainWithin
    }

    package func violations(in history: [HistoryEntry<PartitionAction>]) -> [Violation] {
        let order = chronology(of: history)
        guard let last = order.last else { return [] }
        let parts = PartitionSteps(history, order)
        return parts.names.indices.flatMap { index in
            let ledger = GrantLedger(parts.steps[index], rules: Self.rules)
            let name = parts.names[index]
            let found = ledger.judged().map { violation in
                Violation(rule: violation.rule, detail: "\(name): \(violation.detail)", entries: violation.entries)
            }
            return found + gaps(name, ledger, until: history[last].time, entry: last)
        }.inOrder()
    }

    private func gaps(
        _ name: String, _ ledger: GrantLedger, until end: MonotonicInstant, entry last: Int
    ) -> [Violation] {
        var office = Succession(bound: activeAgainWithin)
        let ends = ledger.ends(patience: activeAgainWithin)
        for (step, ends) in zip(ledger.steps, ends) {
            if case .began = step.event {
                office.taken(at: step.time, entry: step.entry)
                // The partition itself waits, whenever nobody owns it.
                office.waits(name, at: step.time, entry: step.entry)
            }
            for _ in 0..<ends { office.vacated(at: step.time, entry: step.entry) }
        }
        office.observe(at: end, entry: last)
        return office.overdue.map { overdue in
            Violation(
                rule: Self.succession, detail: "\(name) had no owner from \(overdue.since.inSeconds) on",
                entries: overdue.entries)
        }
    }
}

/// A history cut into one list of steps a partition.
private struct PartitionSteps {
    /// In the order in which they first appear.
    var names: [String] = []
    var steps: [[GrantStep]] = []
    private var indices: [ZNodeName: Int] = [:]
    /// The partitions that a node has begun with since it last crashed.
    private var owned: [ZNodeName: [Int]] = [:]

    init(_ history: [HistoryEntry<PartitionAction>], _ order: [Int]) {
        for entry in order { add(entry, history[entry]) }
    }

    private mutating func add(_ entry: Int, _ deed: HistoryEntry<PartitionAction>) {
        var step = GrantStep(entry: entry, time: deed.time, process: deed.process, event: .other)
        switch deed.action {
        case .began(let partition, let token):
            let index = index(of: partition)
            step.event = .began(.token(token), token: token, isShared: false)
            steps[index].append(step)
            owned[deed.process, default: []].append(index)
        case .acted(let partition, let token, let isValid, let accepted):
            step.event = .acted(.token(token), isValid: isValid, accepted: accepted)
            steps[index(of: partition)].append(step)
        case .ended(let partition, let token):
            step.event = .ended(.token(token))
            steps[index(of: partition)].append(step)
        case .crashed(let node):
            (step.process, step.event) = (node, .stopped)
            for index in owned.removeValue(forKey: node) ?? [] { steps[index].append(step) }
        }
    }

    private mutating func index(of partition: String) -> Int {
        if let index = indices[partition] { return index }
        indices[partition] = names.count
        names.append(partition)
        steps.append([])
        return names.count - 1
    }
}
