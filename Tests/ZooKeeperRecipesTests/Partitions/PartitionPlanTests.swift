import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct PartitionPlanTests {
    private static let nodes = (0..<8).map { PartitionNode("web\($0)") }
    private static let partitions = (0..<1000).map { Partition("shard-\($0)") }

    private func owners(_ plan: PartitionPlan) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: plan.placements.compactMap { place in
                place.owner.map { (place.partition.id, $0) }
            })
    }

    /// The partitions that have another owner.
    private func moved(_ before: PartitionPlan, _ after: PartitionPlan) -> Set<String> {
        let (old, new) = (owners(before), owners(after))
        return Set(Set(old.keys).union(new.keys).filter { old[$0] != new[$0] })
    }

    @Test func `a node that is lost moves its own partitions and no other, each to the next in line`() {
        let before = PartitionPlan(partitions: Self.partitions, nodes: Self.nodes)
        for lost in Self.nodes {
            let after = PartitionPlan(partitions: Self.partitions, nodes: Self.nodes.filter { $0 != lost })
            let its = before.placements.filter { $0.owner == lost.id }
            #expect(moved(before, after) == Set(its.map(\.partition.id)))
            #expect(its.allSatisfy { after[$0.partition.id]?.owner == $0.next })
        }
    }

    @Test func `a node that comes takes partitions from others and moves nothing between them`() {
        let before = PartitionPlan(partitions: Self.partitions, nodes: Self.nodes)
        let after = PartitionPlan(partitions: Self.partitions, nodes: Self.nodes + ["web9"])
        let moved = moved(before, after)
        #expect(!moved.isEmpty && moved.allSatisfy { after[$0]?.owner == "web9" })
    }

    @Test func `home, owner and next in line are the first of the ranking, in which every node stands`() throws {
        let nodes = (0..<40).map { PartitionNode("web\($0)", weight: [0.001, 0.5, 1, 3, 1e6][$0 % 5]) }
        let partitions = (0..<2000).map { index in
            Partition("shard-\(index)", preferred: index % 7 == 0 ? ["web\(index % 40)", "gone", "web3", "web3"] : [])
        }
        let away: Set = ["web4", "web9", "web3"]
        let plan = PartitionPlan(partitions: partitions, nodes: nodes, absent: away)
        for partition in partitions {
            let ranking = plan.ranking(of: partition.id)
            #expect(Set(ranking).count == 40)
            let there = ranking.filter { !away.contains($0) }
            let place = try #require(plan[partition.id])
            #expect([place.home, place.owner, place.next] == [ranking[0], there[0], there[1]])
            #expect(partition.preferred.isEmpty || ranking[0] == partition.preferred[0])
        }
    }

    @Test func `10,000 partitions over 100 nodes: one node lost moves only what it had`() {
        let partitions = (0..<10_000).map { Partition("p\($0)") }
        let nodes = (0..<100).map { PartitionNode("node\($0)") }
        let before = PartitionPlan(partitions: partitions, nodes: nodes)
        let after = PartitionPlan(partitions: partitions, nodes: Array(nodes.dropLast()))
        let its = before.placements.filter { $0.owner == "node99" }
        #expect(moved(before, after) == Set(its.map(\.partition.id)))
        // The hashes spread evenly: about 100 each, with a deviation of 10.
        #expect(before.balance.values.allSatisfy { 60...140 ~= $0 })
    }

    @Test func `all nodes come to the same plan, in whatever order they know the group`() {
        let one = PartitionPlan(partitions: Self.partitions, nodes: Self.nodes)
        let other = PartitionPlan(partitions: Self.partitions.shuffled(), nodes: Self.nodes.shuffled())
        #expect(owners(one) == owners(other))
        #expect(one.placements.map(\.next) == other.placements.map(\.next))
    }

    @Test func `the hash is the same on every machine`() {
        #expect(PartitionScore.hash("shard-1") == 6_339_403_536_992_755_424)
        let plan = PartitionPlan(partitions: Array(Self.partitions.prefix(12)), nodes: Array(Self.nodes.prefix(4)))
        #expect(plan.placements.compactMap(\.owner).map { String($0.last!) }.joined() == "131133232333")
    }

    @Test func `the logarithm is right to 12 digits`() {
        // ln 2, ln 10, ln 0.5, ln 1, and that of the least hash.
        let known: [(Double, Double)] = [
            (2, 0.693147180559945), (10, 2.302585092994046), (0.5, -0.693147180559945), (1, 0),
            (0x1p-53, -36.73680056967710), (0.75, -0.287682072451781), (1.4142, 0.346564000188003),
        ]
        for (value, logarithm) in known {
            #expect(abs(PartitionScore.naturalLogarithm(value) - logarithm) < 1e-12 * max(1, abs(logarithm)))
        }
    }

    @Test func `nodes get partitions in proportion to their weights`() throws {
        let nodes = [PartitionNode("one"), PartitionNode("two", weight: 2), PartitionNode("five", weight: 5)]
        let partitions = (0..<8000).map { Partition("p\($0)") }
        let balance = PartitionPlan(partitions: partitions, nodes: nodes).balance
        #expect(900...1100 ~= balance["one"]!)
        #expect(1850...2150 ~= balance["two"]!)
        #expect(4800...5200 ~= balance["five"]!)
    }

    @Test func `a node whose weight grows takes from others and gives nothing away`() {
        let before = PartitionPlan(partitions: Self.partitions, nodes: Self.nodes)
        let heavier = Self.nodes.dropFirst() + [PartitionNode("web0", weight: 1.5)]
        let after = PartitionPlan(partitions: Self.partitions, nodes: Array(heavier))
        let moved = moved(before, after)
        #expect(!moved.isEmpty && moved.allSatisfy { after[$0]?.owner == "web0" })
    }

    @Test func `the first preferred node that is there has it, whatever the hashes say`() throws {
        let partition = Partition("billing", preferred: ["web9", "web3", "web5"])
        let all = try #require(PartitionPlan(partitions: [partition], nodes: Self.nodes)["billing"])
        #expect(all.owner == "web3" && all.next == "web5" && all.rule == .preferred(1) && all.missingNodes == ["web9"])
        let less = try #require(
            PartitionPlan(partitions: [partition], nodes: Self.nodes.filter { $0.id != "web3" })["billing"])
        #expect(less.owner == "web5" && less.rule == .preferred(2))
        // The last of the list is followed by those that the hash finds.
        let plain = PartitionPlan(
            partitions: ["billing"], nodes: Self.nodes.filter { !["web3", "web5"].contains($0.id) })
        #expect(less.next == plain["billing"]?.owner)
    }

    @Test func `no node gets more than its capacity, and the partitions that fit it best stay`() throws {
        var nodes = Self.nodes
        nodes[2].capacity = 50
        nodes[5].capacity = 0
        let free = PartitionPlan(partitions: Self.partitions, nodes: Self.nodes)
        let limited = PartitionPlan(partitions: Self.partitions, nodes: nodes)
        #expect(limited.balance["web2"] == 50 && limited.balance["web5"] == 0)
        // Nothing else moves: the others have room for all that spills.
        let moved = moved(free, limited)
        #expect(moved.allSatisfy { ["web2", "web5"].contains(free[$0]?.owner) })
        let spilled = try #require(limited.placements.first { moved.contains($0.partition.id) })
        let better = spilled.fullNodes
        #expect(!better.isEmpty && Set(better).isSubset(of: ["web2", "web5"]))
        #expect(spilled.owner == limited.ranking(of: spilled.partition.id).first { !["web2", "web5"].contains($0) })
    }

    @Test func `preferred partitions displace others from a node that is full`() {
        var partitions = Self.partitions
        for index in 0..<5 { partitions[index].preferred = ["web1"] }
        let nodes = Self.nodes.map { PartitionNode($0.id, capacity: $0.id == "web1" ? 5 : nil) }
        let plan = PartitionPlan(partitions: partitions, nodes: nodes)
        #expect(plan.placements.filter { $0.owner == "web1" }.allSatisfy { $0.rule == .preferred(0) })
        #expect(plan.balance["web1"] == 5)
    }

    @Test func `what has no room anywhere is nobody's`() throws {
        let nodes = Self.nodes.map { PartitionNode($0.id, capacity: 100) }
        let plan = PartitionPlan(partitions: Self.partitions, nodes: nodes)
        #expect(plan.balance.values.allSatisfy { $0 == 100 })
        let left = plan.placements.filter { $0.owner == nil }
        #expect(left.count == 200 && left.allSatisfy { $0.rule == .noRoom && $0.next == nil })
        #expect(left[0].description == "no node: all 8 are full")
    }

    @Test func `the order in which partitions are given to full nodes makes no difference`() {
        let nodes = Self.nodes.map { PartitionNode($0.id, capacity: 130) }
        let plan = PartitionPlan(partitions: Self.partitions, nodes: nodes)
        // Stable: no partition fits a node better than its own one, and better than what that node has.
        for place in plan.placements {
            let index = plan.index(of: place.partition.id)!
            let home = plan.nodeIndices[place.home!]!
            for fit in plan.fits(at: index).sorted().prefix(while: { $0.node != home }) {
                let others = plan.placements.filter { $0.home == plan.nodes[fit.node].id }
                #expect(others.count == 130)
                #expect(
                    others.allSatisfy { other in
                        plan.fits(at: plan.index(of: other.partition.id)!)[fit.node].cost <= fit.cost
                    })
            }
        }
    }

    @Test func `a cordoned node gets nothing, and its partitions go where they would without it`() {
        var nodes = Self.nodes
        nodes[4].isCordoned = true
        let cordoned = PartitionPlan(partitions: Self.partitions, nodes: nodes)
        nodes.remove(at: 4)
        #expect(owners(cordoned) == owners(PartitionPlan(partitions: Self.partitions, nodes: nodes)))
        #expect(cordoned.balance["web4"] == nil)
        let none = PartitionPlan(partitions: ["a"], nodes: [PartitionNode("web1", isCordoned: true)])
        #expect(none["a"]?.owner == nil && none["a"]?.rule == .noNode)
        #expect(none.explain("a") == "no node: the group is empty, or all nodes are cordoned")
    }

    @Test(arguments: [nil, 140] as [Int?])
    func `a node that is away keeps its places, the next in line has them, and nothing else moves`(capacity: Int?) {
        let nodes = Self.nodes.map { PartitionNode($0.id, capacity: capacity) }
        let before = PartitionPlan(partitions: Self.partitions, nodes: nodes)
        let after = PartitionPlan(partitions: Self.partitions, nodes: nodes, absent: ["web6"])
        for (old, new) in zip(before.placements, after.placements) {
            #expect(new.home == old.home)
            #expect(new.isHomeAway == (old.owner == "web6"))
            if new.isHomeAway { #expect(new.owner == old.next) } else { #expect(new.owner == old.owner) }
            #expect(new.owner != "web6" && new.next != "web6" && new.next != new.owner)
        }
    }

    @Test func `with nobody but nodes that are away nobody owns anything`() {
        let plan = PartitionPlan(partitions: ["a"], nodes: ["web1"], absent: ["web1"])
        #expect(plan["a"]?.home == "web1" && plan["a"]?.owner == nil && plan["a"]?.next == nil)
        #expect(PartitionPlan(partitions: [], nodes: ["web1"]).placements.isEmpty)
        #expect(PartitionPlan(partitions: ["a"], nodes: []).explain("a")?.hasPrefix("no node") == true)
        #expect(PartitionPlan(partitions: ["a"], nodes: []).explain("b") == nil)
    }

    @Test func `an explanation names the rule, who is missing or full, and who is next`() {
        let partition = Partition("a", preferred: ["web9", "web1", "web2"])
        let full = [PartitionNode("web1", capacity: 0), "web2", "web3"]
        #expect(
            PartitionPlan(partitions: [partition], nodes: full).explain("a")
                == "web2: preferred node 3 of 3; absent: web9; full: web1; next: web3")
        // Who is cordoned, by itself or by an operator, is there.
        var byOperator = PartitionNode("web1")
        byOperator.isCordonedByOperator = true
        let cordoned = [byOperator, "web2", PartitionNode("web9", isCordoned: true)]
        #expect(
            PartitionPlan(partitions: [partition], nodes: cordoned).explain("a")
                == "web2: preferred node 3 of 3; cordoned: web9, web1; next: none")
        #expect(
            PartitionPlan(partitions: ["a"], nodes: ["web1"]).explain("a")
                == "web1: by hash and weight, of 1 node; next: none")
        let away = PartitionPlan(
            partitions: ["a"], nodes: ["web1", PartitionNode("web2", weight: 1e-9)], absent: ["web1"])
        #expect(
            away.explain("a")
                == "web2 while web1 is absent: by hash and weight, of 2 nodes; next: none")
    }
}
