internal import ZooKeeper

// The computation of a plan.
extension PartitionPlan {
    /// How well a node fits a partition: a lower cost is a better fit.
    struct Fit: Comparable {
        /// The cost.
        ///
        /// Costs of preferred nodes are negative, in the order of preference.
        var cost: Double
        /// The node's index in the plan, which decides between equal costs.
        var node: Int

        /// A fit that is worse than that of any node.
        static let none = Fit(cost: .infinity, node: .max)

        /// The node's index for a ``Place``, or -1.
        var place: Int { node == .max ? -1 : node }

        static func < (left: Fit, right: Fit) -> Bool {
            left.cost == right.cost ? left.node < right.node : left.cost < right.cost
        }
    }

    func computed() -> [Place] {
        guard !nodes.isEmpty else { return Array(repeating: Place(), count: partitions.count) }
        guard nodes.contains(where: { $0.capacity != nil }) else { return partitions.indices.map { place(at: $0) } }
        var allotment = PartitionAllotment(plan: self)
        let homes = allotment.homes()
        let hasRoom = nodes.indices.map { allotment.hasRoom($0) }
        return partitions.indices.map { index in
            // If no node has room, the partition gets no owner, so that no node exceeds its capacity.
            guard let home = homes[index] else { return Place() }
            return place(at: index, home: home, hasRoom: hasRoom)
        }
    }

    /// Returns the placement if no node has a capacity: the best node is the home node.
    private func place(at index: Int) -> Place {
        var (home, owner, next) = (Fit.none, Fit.none, Fit.none)
        let preferred = preferredFits(at: index)
        for node in nodes.indices {
            guard let fit = fit(of: node, at: index, preferred, betterThan: next) else { continue }
            if fit < home { home = fit }
            if isAway[node] { continue }
            if fit < owner { (owner, next) = (fit, owner) } else { next = fit }
        }
        return Place(home: home.place, owner: owner.place, next: next.place)
    }

    /// Returns the placement if nodes have capacities: after the home node come those with room, then the full ones.
    private func place(at index: Int, home: Int, hasRoom: [Bool]) -> Place {
        var (roomy, nextRoomy, full, nextFull) = (Fit.none, Fit.none, Fit.none, Fit.none)
        let preferred = preferredFits(at: index)
        for node in nodes.indices where node != home && !isAway[node] {
            let worst = hasRoom[node] ? nextRoomy : nextFull
            guard let fit = fit(of: node, at: index, preferred, betterThan: worst) else { continue }
            if hasRoom[node] {
                if fit < roomy { (roomy, nextRoomy) = (fit, roomy) } else { nextRoomy = fit }
            } else {
                if fit < full { (full, nextFull) = (fit, full) } else { nextFull = fit }
            }
        }
        let line = ([isAway[home] ? -1 : home] + [roomy, nextRoomy, full, nextFull].map(\.place)).filter { $0 >= 0 }
        return Place(home: home, owner: line.first ?? -1, next: line.dropFirst().first ?? -1)
    }

    /// Returns the node that fits a partition best, regardless of capacities.
    ///
    /// The plan must have at least one node.
    func best(at index: Int) -> Fit {
        var best = Fit.none
        let preferred = preferredFits(at: index)
        for node in nodes.indices {
            if let fit = fit(of: node, at: index, preferred, betterThan: best) { best = fit }
        }
        return best
    }

    /// Returns the fits of all nodes, in the order of the plan.
    func fits(at index: Int) -> [Fit] {
        let preferred = preferredFits(at: index)
        return nodes.indices.compactMap { fit(of: $0, at: index, preferred, betterThan: .none) }
    }

    /// Returns the fits of a partition's preferred nodes.
    private func preferredFits(at index: Int) -> [Fit] {
        let preferred = partitions[index].preferred
        return preferred.indices.compactMap { place in
            nodeIndices[preferred[place]].map { Fit(cost: Double(place - preferred.count), node: $0) }
        }
    }

    /// Returns how well a node fits a partition; `nil` if the fit is not better than another one.
    @inline(__always)
    private func fit(of node: Int, at index: Int, _ preferred: [Fit], betterThan other: Fit) -> Fit? {
        if !preferred.isEmpty, let fit = preferred.first(where: { $0.node == node }) { return fit < other ? fit : nil }
        let cost = PartitionScore.cost(
            partitionHashes[index], nodeHashes[node], weight: weights[node], limit: other.cost)
        guard let cost else { return nil }
        let fit = Fit(cost: cost, node: node)
        return fit < other ? fit : nil
    }

    /// Returns the nodes, the one that fits the partition best first.
    func ranking(at index: Int) -> [Int] { fits(at: index).sorted().map(\.node) }
}
