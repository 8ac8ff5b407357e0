import ZooKeeperTestKit

/// What a member of a double barrier does in each round, in this order.
enum BarrierStep: String, Sendable, CaseIterable {
    /// It calls `enter`.
    case entering
    /// `enter` has returned.
    case inside
    /// It calls `leave`.
    case leaving
    /// `leave` has returned.
    case outside
}

extension [Evidence] {
    /// Finds where members of a double barrier were not in the same round.
    ///
    /// Round `n` is everybody's round `n`. Nobody is inside before all members enter it, and nobody is outside before all
    /// members leave it. A member calls `enter` only when its last `leave` has returned, so nobody is inside while another
    /// member is still in the round before.
    ///
    /// One exception: a Curator member may leave before another Curator member does, as it may without this package. A member
    /// that has deleted its znode takes the barrier for left when one znode is there, whosever it is, and it looks whenever
    /// any of its watches fires, also late.
    ///
    /// - Returns: One sentence for each violation; none if all members took part in all rounds together.
    func barrierViolations(members: Int, rounds: Int) -> [String] {
        let steps = compactMap { one in
            if case .barrier(let step) = one.deed { (time: one.time, who: one.who, step: step) } else { nil }
        }
        func isCurator(_ who: String) -> Bool { who.contains("curator") }
        let all = Dictionary(grouping: steps, by: \.who).mapValues { $0.sorted { $0.time < $1.time } }
        let expected = (0..<rounds).flatMap { _ in BarrierStep.allCases }
        let incomplete = all.filter { $0.value.map(\.step) != expected }.keys.sorted()
        guard all.count == members, incomplete.isEmpty else {
            return ["\(all.count) members of \(members); not in \(rounds) rounds, one after the other: \(incomplete)"]
        }
        return expected.indices.flatMap { index -> [String] in
            let (before, after): (Int, Int)
            switch expected[index] {
            case .inside, .outside: (before, after) = (index - 1, index)
            case .entering, .leaving: return []
            }
            return all.values.compactMap { other in
                let last = other[before]
                let early = all.values.map { $0[after] }.filter {
                    $0.time < last.time && !($0.step == .outside && [$0.who, last.who].allSatisfy(isCurator))
                }
                guard let first = early.min(by: { $0.time < $1.time }) else { return nil }
                return "round \(index / 4): \(first.who) is \(first.step) before \(last.who) is \(last.step)"
            }
        }
    }
}
