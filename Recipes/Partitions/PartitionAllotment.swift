/// Gives each partition to the best node that has room for it, and each node the partitions that fit it best.
///
/// Each partition asks its nodes in the order of its ranking; a node that is full takes it all the same if it fits better
/// than the one there that fits least, which then asks its next node. In which order they ask makes no difference
/// (deferred acceptance), so that every node of the group comes to the same result.
struct PartitionAllotment {
    private let plan: PartitionPlan
    private let capacities: [Int?]
    /// Those a limited node has accepted, in a heap: the one that fits least is the first.
    private var accepted: [[Applicant]]
    /// What is left of a partition's ranking, best last, once it was refused.
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

    /// The best node that has not refused it yet.
    private mutating func nextChoice(of partition: Int) -> PartitionPlan.Fit? {
        if rest[partition] == nil {
            // All but the first, which has refused it.
            rest[partition] = plan.fits(at: partition).sorted { $1 < $0 }.dropLast()
        }
        return rest[partition]?.popLast()
    }

    /// - Returns: Who has to ask elsewhere: the applicant, the one that it has displaced, or nobody.
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
