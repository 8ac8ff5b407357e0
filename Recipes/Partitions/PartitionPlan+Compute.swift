// How a plan is made.
extension PartitionPlan {
    /// How well a node fits a partition: the lower the cost, the better.
    struct Fit: Comparable {
        /// Preferred nodes' are below 0, in their order.
        var cost: Double
        /// Its place in the plan's list, which decides between equal ones.
        var node: Int

        static func < (left: Fit, right: Fit) -> Bool {
            left.cost == right.cost ? left.node < right.node : left.cost < right.cost
        }
    }

    func computed() -> [Place] {
        guard !nodes.isEmpty else { return Array(repeating: Place(), count: partitions.count) }
        var costs = Array(repeating: 0.0, count: nodes.count)
        guard nodes.contains(where: { $0.capacity != nil }) else {
            return partitions.indices.map { index in
                fill(&costs, at: index)
                return place(by: costs)
            }
        }
        var allotment = PartitionAllotment(plan: self)
        let homes = allotment.homes()
        let hasRoom = nodes.indices.map { allotment.hasRoom($0) }
        return partitions.indices.map { index in
            // What nobody has room for is nobody's, so that it brings no node over its capacity.
            guard let home = homes[index] else { return Place() }
            fill(&costs, at: index)
            return place(by: costs, home: home, hasRoom: hasRoom)
        }
    }

    /// Without limits the best node of all is the home.
    private func place(by costs: [Double]) -> Place {
        let none = Fit(cost: .infinity, node: -1)
        var (home, owner, next) = (none, none, none)
        for node in costs.indices {
            let fit = Fit(cost: costs[node], node: node)
            if fit.cost >= next.cost { continue }
            if fit < home { home = fit }
            if isAway[node] { continue }
            if fit < owner { (owner, next) = (fit, owner) } else { next = fit }
        }
        return Place(home: home.node, owner: owner.node, next: next.node)
    }

    /// With limits those with room come after the home, and the others after them.
    private func place(by costs: [Double], home: Int, hasRoom: [Bool]) -> Place {
        let none = Fit(cost: .infinity, node: -1)
        var (roomy, nextRoomy, full, nextFull) = (none, none, none, none)
        for node in costs.indices where node != home && !isAway[node] {
            let fit = Fit(cost: costs[node], node: node)
            if hasRoom[node] {
                if fit < roomy { (roomy, nextRoomy) = (fit, roomy) } else if fit < nextRoomy { nextRoomy = fit }
            } else {
                if fit < full { (full, nextFull) = (fit, full) } else if fit < nextFull { nextFull = fit }
            }
        }
        let line = ([isAway[home] ? -1 : home] + [roomy, nextRoomy, full, nextFull].map(\.node)).filter { $0 >= 0 }
        return Place(home: home, owner: line.first ?? -1, next: line.dropFirst().first ?? -1)
    }

    /// Writes what a partition costs on each node.
    func fill(_ costs: inout [Double], at index: Int) {
        let hash = partitionHashes[index]
        for node in costs.indices {
            costs[node] = PartitionScore.cost(hash, nodeHashes[node]) / weights[node]
        }
        let preferred = partitions[index].preferred
        for place in preferred.indices.reversed() {
            if let node = nodeIndices[preferred[place]] { costs[node] = Double(place - preferred.count) }
        }
    }

    func fits(at index: Int) -> [Fit] {
        var costs = Array(repeating: 0.0, count: nodes.count)
        fill(&costs, at: index)
        return costs.enumerated().map { Fit(cost: $1, node: $0) }
    }

    /// The nodes by how well they fit a partition.
    func ranking(at index: Int) -> [Int] { fits(at: index).sorted().map(\.node) }
}
