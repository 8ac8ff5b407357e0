/// The assignment of partitions to nodes with limited capacity.
///
/// Each partition gets the best node that has room for it, and each node keeps the partitions that fit it best.
///
/// Each partition applies to its nodes in the order of its ranking. A full node accepts a partition that fits it better
/// than the worst one it has accepted, which then applies to its next node. The order of applications does not change
/// the result (deferred acceptance), so every node of the group computes the same assignment.
struct PartitionAllotment {
    private let plan: PartitionPlan
    private let capacities: [Int?]
    /// For each node with a capacity, the accepted partitions as a heap whose first element fits worst.
    private var accepted: [[Applicant]]
    /// For each rejected partition, the rest of its ranking with the best node last.
    private var rest: [[PartitionPlan.Fit]?]

    private struct Applicant {
        var partition: Int
        var fit: PartitionPlan.Fit

        func fitsWorse(than other: Applicant) -> Bool {
            other.fit.cost == fit.cost ? other.partition < partition : other.fit.cost < fit.cost
        }
    }

    init(plan: PartitionPlan) {
        self.plan = plan
        capacities = plan.nodes.map(\.capacity)
        accepted = Array(repeating: [], count: plan.nodes.count)
        rest = Array(repeating: nil, count: plan.partitions.count)
    }

    func hasRoom(_ node: Int) -> Bool {
        capacities[node].map { accepted[node].count < $0 } ?? true
    }

    mutating func homes() -> [Int?] {
        var homes: [Int?] = Array(repeating: nil, count: plan.partitions.count)
        for index in plan.partitions.indices {
            var fit: PartitionPlan.Fit? = plan.best(at: index)
            var partition = index
            while let choice = fit {
                let refused = ask(Applicant(partition: partition, fit: choice))
                if refused != partition { homes[partition] = choice.node }
                guard let refused else { break }
                homes[refused] = nil
                partition = refused
                fit = nextChoice(of: refused)
            }
        }
        return homes
    }

    /// Returns the best node that has not rejected the partition yet.
    private mutating func nextChoice(of partition: Int) -> PartitionPlan.Fit? {
        if rest[partition] == nil {
            // The first node of the ranking has already rejected the partition.
            rest[partition] = plan.fits(at: partition).sorted { $1 < $0 }.dropLast()
        }
        return rest[partition]?.popLast()
    }

    /// Applies to a node.
    ///
    /// - Returns: The partition that has to apply elsewhere: the applicant or the one it displaced; `nil` if there is
    ///   none.
    private mutating func ask(_ applicant: Applicant) -> Int? {
        let node = applicant.fit.node
        guard let capacity = capacities[node] else { return nil }
        if accepted[node].count < capacity {
            push(applicant, on: node)
            return nil
        }
        guard let worst = accepted[node].first, worst.fitsWorse(than: applicant) else { return applicant.partition }
        replaceFirst(by: applicant, on: node)
        return worst.partition
    }

    private mutating func push(_ applicant: Applicant, on node: Int) {
        accepted[node].append(applicant)
        var child = accepted[node].count - 1
        while child > 0, accepted[node][child].fitsWorse(than: accepted[node][(child - 1) / 2]) {
            accepted[node].swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func replaceFirst(by applicant: Applicant, on node: Int) {
        accepted[node][0] = applicant
        var parent = 0
        while true {
            var worst = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < accepted[node].count && accepted[node][child].fitsWorse(than: accepted[node][worst]) {
                worst = child
            }
            if worst == parent { return }
            accepted[node].swapAt(parent, worst)
            parent = worst
        }
    }
}
