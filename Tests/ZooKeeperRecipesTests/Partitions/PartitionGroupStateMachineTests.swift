import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct PartitionGroupStateMachineTests {
    private typealias Machine = PartitionGroupStateMachine
    private typealias Action = PartitionGroupStateMachine.Action

    /// A machine with a clock; `web1` unless another node is named.
    private struct Bench {
        var machine: PartitionGroupStateMachine
        var now = MonotonicInstant(nanoseconds: 1_000_000_000_000)

        init(
            _ own: PartitionNode = "web1", partitions: [Partition], warmsUp: Bool = false, knowsCordons: Bool = true,
            candidateBytes: Int = 0, _ change: (inout PartitionGroup.Configuration) -> Void = { _ in }
        ) {
            var configuration = PartitionGroup.Configuration()
            change(&configuration)
            machine = PartitionGroupStateMachine(
                own: own, configuration: configuration, warmsUp: warmsUp, candidateBytes: candidateBytes)
            machine.partitions = partitions
            if knowsCordons { _ = tell(.cordons([])) }
        }

        mutating func tell(_ inputs: PartitionGroupStateMachine.Input...) -> [Action] {
            machine.handle(inputs, now: now)
        }

        mutating func wait(_ duration: Duration) -> [Action] {
            now = now + duration
            return machine.handle([.time], now: now)
        }

        /// Joins a group of these nodes.
        mutating func join(_ nodes: [PartitionNode]) -> [Action] {
            tell(.standing(7), .members(nodes + [machine.roster.own]))
        }
    }

    private static let leading = LeaderState.leading(number: 1, token: FencingToken(rawValue: 9))
    private static let waiting = LeaderState.waiting(position: 1)
    private static let candidate = ContenderName("_c_x-lock-0000000003")!
    private static let later = ContenderName("_c_y-lock-0000000004")!
    /// Preferred by `web1`, then by `web2`, and the other way round.
    private static let mine = Partition("mine", preferred: ["web1", "web2", "web3"])
    private static let theirs = Partition("theirs", preferred: ["web2", "web1", "web3"])
    private static let others = Partition("others", preferred: ["web2", "web3", "web1"])

    @Test func `a node stands where it is the owner or next in line, and nowhere else`() {
        var bench = Bench(partitions: [Self.mine, Self.theirs, Self.others])
        #expect(bench.join(["web2", "web3"]) == [.start(Self.mine), .start(Self.theirs)])
        #expect(bench.machine.roles == ["mine": .owner, "theirs": .next])
    }

    @Test func `a partition that could not be started neither holds others up nor the end`() {
        var bench = Bench(partitions: [Self.mine, Self.theirs])
        #expect(bench.join(["web2"]) == [.start(Self.mine), .start(Self.theirs)])
        #expect(bench.tell(.notStarted("mine")) == [])
        #expect(Array(bench.machine.seats.keys) == ["theirs"])
        // The next plan tries it again.
        #expect(bench.tell(.members(["web1", "web2", "web3"])) == [.start(Self.mine)])
        #expect(bench.tell(.notStarted("mine"), .stop) == [])
        #expect(bench.tell(.ended("theirs")) == [])
        #expect(bench.machine.isStopping && bench.machine.seats.isEmpty && bench.machine.watchedBytes == 0)
    }

    @Test func `nothing is taken before the member znode stands and the group is known`() {
        var bench = Bench(partitions: [Self.mine])
        #expect(bench.tell(.members(["web1"])) == [])
        #expect(bench.machine.nextTime == nil)
        #expect(bench.tell(.standing(nil)) == [])
        #expect(bench.tell(.standing(7)) == [.start(Self.mine)])
        var other = Bench(partitions: [Self.mine])
        #expect(other.tell(.standing(7)) == [])
        #expect(other.machine.nextTime == nil)
        #expect(other.tell(.members(["web1"])) == [.start(Self.mine)])
        var third = Bench(partitions: [Self.mine], knowsCordons: false)
        #expect(third.join([]) == [])
        // It waits for the marks, and does not ask again and again.
        #expect(third.machine.nextTime == nil)
        #expect(third.tell(.cordons([])) == [.start(Self.mine)])
    }

    @Test func `a node that gathers waits for others before it takes anything`() {
        var bench = Bench(partitions: [Self.mine, Self.others]) { $0.startupDelay = .seconds(3) }
        #expect(bench.join([]) == [])
        #expect(bench.machine.nextTime == bench.now + .seconds(3))
        #expect(bench.tell(.members(["web1", "web2", "web3"])) == [])
        #expect(bench.wait(.seconds(3)) == [.start(Self.mine)])
    }

    @Test func `the owner that should be asks once it has settled, and its owner is another`() {
        var bench = Bench(partitions: [Self.mine]) { $0.rebalanceDelay = .seconds(5) }
        _ = bench.join(["web2"])
        #expect(bench.tell(.election("mine", Self.waiting)) == [])
        #expect(bench.machine.nextTime == bench.now + .seconds(5))
        #expect(bench.wait(.seconds(4)) == [])
        #expect(bench.wait(.seconds(1)) == [.seek("mine")])
        #expect(bench.machine.nextTime == nil)
        #expect(bench.tell(.election("mine", Self.leading)) == [.stopSeeking("mine")])
        #expect(bench.machine.moves.gained == 1)
    }

    @Test func `who is next in line asks for nothing`() {
        var bench = Bench(partitions: [Self.theirs]) { $0.rebalanceDelay = .zero }
        _ = bench.join(["web2"])
        #expect(bench.tell(.election("theirs", Self.waiting)) == [])
        #expect(bench.wait(.seconds(3600)) == [])
    }

    @Test func `a new session has to settle anew`() {
        var bench = Bench(partitions: [Self.mine]) { $0.rebalanceDelay = .seconds(5) }
        _ = bench.join(["web2"])
        _ = bench.tell(.election("mine", Self.waiting))
        #expect(bench.wait(.seconds(5)) == [.seek("mine")])
        #expect(bench.tell(.standing(8)) == [.stopSeeking("mine")])
        #expect(bench.wait(.seconds(4)) == [])
        #expect(bench.wait(.seconds(1)) == [.seek("mine")])
    }

    @Test func `an owner that is to be another's goes on until that one asks, and hands over`() {
        var bench = Bench(partitions: [Self.others])
        #expect(bench.join([]) == [.start(Self.others)])
        _ = bench.tell(.election("others", Self.leading))
        #expect(bench.tell(.members(["web1", "web2", "web3"])) == [.leave("others", atOnce: false)])
        #expect(
            bench.tell(.asked("others", by: "web2", candidate: Self.candidate))
                == [.handOver("others", to: Self.candidate)])
        #expect(bench.tell(.handedOver("others", .done)) == [])
        #expect(bench.tell(.election("others", .waiting(position: nil)), .ended("others")) == [])
        #expect(bench.machine.seats.isEmpty && bench.machine.moves.lost == 1)
    }

    @Test func `who asks before the owner knows of it gets the partition when the owner does`() {
        var bench = Bench(partitions: [Self.theirs])
        _ = bench.join([])
        _ = bench.tell(.election("theirs", Self.leading))
        #expect(bench.tell(.asked("theirs", by: "web2", candidate: Self.candidate)) == [])
        #expect(bench.tell(.members(["web1", "web2"])) == [.handOver("theirs", to: Self.candidate)])
    }

    @Test func `an owner that should be keeps what others ask for`() {
        var bench = Bench(partitions: [Self.mine])
        _ = bench.join(["web2"])
        _ = bench.tell(.election("mine", Self.leading))
        #expect(bench.tell(.asked("mine", by: "web2", candidate: Self.candidate)) == [])
        #expect(bench.tell(.members(["web1"])) == [])
    }

    @Test func `what was asked of a term is forgotten with it`() {
        var bench = Bench(partitions: [Self.theirs])
        _ = bench.join([])
        _ = bench.tell(.asked("theirs", by: "web2", candidate: Self.candidate))
        _ = bench.tell(.election("theirs", Self.leading))
        _ = bench.tell(.asked("theirs", by: "web2", candidate: Self.candidate))
        _ = bench.tell(.election("theirs", .waiting(position: nil)))
        _ = bench.tell(.election("theirs", Self.leading))
        #expect(bench.tell(.members(["web1", "web2"])) == [])
    }

    @Test
    func `a hand-over that failed is tried again after pauses that grow, one to a candidate that has gone is not`() {
        var bench = Bench(partitions: [Self.theirs])
        _ = bench.join(["web2"])
        _ = bench.tell(.election("theirs", Self.leading))
        #expect(!bench.tell(.asked("theirs", by: "web2", candidate: Self.candidate)).isEmpty)
        #expect(bench.tell(.handedOver("theirs", .failed)) == [])
        #expect(bench.wait(.milliseconds(999)) == [])
        #expect(bench.wait(.milliseconds(1)) == [.handOver("theirs", to: Self.candidate)])
        #expect(bench.tell(.handedOver("theirs", .failed)) == [])
        #expect(bench.wait(.milliseconds(1999)) == [])
        #expect(bench.wait(.milliseconds(1)) == [.handOver("theirs", to: Self.candidate)])
        // It came back with another candidate meanwhile.
        _ = bench.tell(.asked("theirs", by: "web2", candidate: Self.later))
        #expect(bench.tell(.handedOver("theirs", .gone)) == [.handOver("theirs", to: Self.later)])
        #expect(bench.tell(.handedOver("theirs", .gone)) == [])
        #expect(bench.wait(.seconds(3600)) == [])
    }

    @Test func `a node that has gone is waited for, and nothing moves but what it had`() {
        var bench = Bench(partitions: [Self.mine, Self.theirs, Self.others]) { $0.absenceTimeout = .seconds(60) }
        _ = bench.join(["web2", "web3"])
        for id in ["mine", "theirs"] { _ = bench.tell(.election(id, Self.waiting)) }
        // Next in line for what the third has now.
        #expect(bench.tell(.members(["web1", "web3"])) == [.start(Self.others)])
        #expect(bench.machine.roles == ["mine": .owner, "theirs": .owner, "others": .next])
        #expect(bench.machine.plan?["theirs"]?.home == "web2")
        #expect(bench.machine.roster.awayNames == ["web2"])
        #expect(bench.tell(.members(["web1", "web2", "web3"])) == [.leave("others", atOnce: false)])
        #expect(bench.machine.roster.awayNames.isEmpty)
        #expect(bench.tell(.members(["web1", "web3"])) == [])
        #expect(bench.wait(.seconds(60)) != [.start(Self.others)])
        #expect(bench.machine.plan?["theirs"]?.home == "web1")
    }

    @Test func `with capacities a node that has gone keeps its places for as long as it is waited for`() {
        let partitions = (0..<90).map { Partition("p\($0)") }
        func node(_ name: String) -> PartitionNode { PartitionNode(name, capacity: 40) }
        var bench = Bench(node("web1"), partitions: partitions)
        _ = bench.join([node("web2"), node("web3")])
        let before = bench.machine.plan!
        _ = bench.tell(.members([node("web1"), node("web2")]))
        let during = bench.machine.plan!
        for place in before.placements { #expect(during[place.partition.id]?.home == place.home) }
        // Whatever others think who came later: where this node would own or be next without the third, it stands.
        let without = PartitionPlan(partitions: partitions, nodes: [node("web1"), node("web2")])
        for place in without.placements where place.owner == "web1" || place.next == "web1" {
            #expect(bench.machine.roles[place.partition.id] != nil)
        }
        _ = bench.wait(.seconds(60))
        #expect(bench.machine.plan?.balance == ["web1": 40, "web2": 40])
    }

    @Test func `an owner is asked only when the warm-up is done, and a warm-up that fails is tried again`() {
        var bench = Bench(partitions: [Self.mine], warmsUp: true) { $0.rebalanceDelay = .zero }
        _ = bench.join(["web2"])
        #expect(bench.tell(.election("mine", Self.waiting)) == [.warmUp(Self.mine)])
        #expect(bench.tell(.warmedUp("mine", isDone: false)) == [])
        #expect(bench.wait(.seconds(1)) == [.warmUp(Self.mine)])
        #expect(bench.tell(.time) == [])
        #expect(bench.tell(.warmedUp("mine", isDone: true)) == [.seek("mine")])
        _ = bench.tell(.election("mine", Self.leading))
        // Another term, another warm-up.
        _ = bench.tell(.election("mine", .waiting(position: nil)))
        #expect(bench.tell(.election("mine", Self.waiting)) == [.warmUp(Self.mine)])
    }

    @Test func `the budget of moves is not exceeded in any minute`() {
        let partitions = (0..<5).map { Partition("p\($0)", preferred: ["web1", "web2"]) }
        var bench = Bench(partitions: partitions) {
            $0.rebalanceDelay = .zero
            $0.maximumMovesPerMinute = 2
        }
        _ = bench.join(["web2"])
        let first = bench.machine.handle(partitions.map { .election($0.id, Self.waiting) }, now: bench.now)
        #expect(first == [.seek("p0"), .seek("p1")])
        #expect(bench.wait(.seconds(59)) == [])
        // The same ones are not paid for again.
        #expect(bench.tell(.election("p0", .waiting(position: nil))) == [.stopSeeking("p0")])
        #expect(bench.tell(.election("p0", Self.waiting)) == [.seek("p0")])
        #expect(bench.wait(.seconds(1)) == [.seek("p2"), .seek("p3")])
        #expect(bench.wait(.seconds(60)) == [.seek("p4")])
    }

    @Test func `an owner that does not answer is asked again only where that is configured`() {
        var bench = Bench(partitions: [Self.mine]) {
            $0.rebalanceDelay = .zero
            $0.handOverRetryInterval = .seconds(30)
        }
        _ = bench.join(["web2"])
        #expect(bench.tell(.election("mine", Self.waiting)) == [.seek("mine")])
        #expect(bench.machine.nextTime == bench.now + .seconds(30))
        #expect(bench.wait(.seconds(30)) == [.stopSeeking("mine"), .seek("mine")])
    }

    @Test func `a worker that failed asks again only after its pause and the settle time`() {
        var bench = Bench(partitions: [Self.mine]) { $0.rebalanceDelay = .seconds(5) }
        _ = bench.join(["web2"])
        _ = bench.tell(.election("mine", Self.leading))
        _ = bench.wait(.seconds(100))
        let failure = ElectionFailure(reason: "broken", retryDelay: .seconds(2))
        _ = bench.tell(.election("mine", .waiting(position: nil)), .election("mine", .failed(failure)))
        #expect(bench.tell(.election("mine", .waiting(position: nil)), .election("mine", Self.waiting)) == [])
        #expect(bench.machine.nextTime == bench.now + .seconds(7))
        #expect(bench.wait(.seconds(7)) == [.seek("mine")])
    }

    @Test func `a partition that is removed is left at once, and taken again only when its election has ended`() {
        var bench = Bench(partitions: [Self.mine])
        _ = bench.join(["web2"])
        _ = bench.tell(.election("mine", Self.leading))
        #expect(bench.tell(.partitions([])) == [.leave("mine", atOnce: true)])
        #expect(bench.tell(.partitions([Self.mine, Self.theirs])) == [.start(Self.theirs)])
        #expect(bench.tell(.ended("mine")) == [.start(Self.mine)])
    }

    @Test func `a cordoned node leaves the queues and keeps what it owns until it is asked`() {
        var bench = Bench(partitions: [Self.mine, Self.theirs])
        _ = bench.join(["web2", "web3"])
        _ = bench.tell(.election("mine", Self.leading))
        let cordoned = PartitionNode("web1", isCordoned: true)
        #expect(
            bench.tell(.own(cordoned)) == [.leave("mine", atOnce: false), .leave("theirs", atOnce: false)])
        #expect(
            bench.tell(.asked("mine", by: "web2", candidate: Self.candidate))
                == [.handOver("mine", to: Self.candidate)])
        #expect(bench.tell(.ended("theirs"), .ended("mine")) == [])
        #expect(bench.tell(.own("web1")) == [.start(Self.mine), .start(Self.theirs)])
    }

    @Test func `nothing is taken before it is known whom operators have cordoned`() {
        var bench = Bench(partitions: [Self.mine, Self.theirs], knowsCordons: false)
        #expect(bench.join(["web2"]) == [])
        #expect(bench.wait(.seconds(60)) == [] && bench.machine.plan == nil)
        #expect(bench.tell(.cordons(["web3"])) == [.start(Self.mine), .start(Self.theirs)])
        var cordoned = Bench(partitions: [Self.mine, Self.theirs], knowsCordons: false)
        #expect(cordoned.join(["web2"]) == [])
        #expect(cordoned.tell(.cordons(["web1"])) == [])
        #expect(PartitionGroupState(cordoned.machine).isCordoned && PartitionGroupState(cordoned.machine).isSettled)
        #expect(cordoned.tell(.cordons([])) == [.start(Self.mine), .start(Self.theirs)])
    }

    @Test func `what an operator says and what the node says of itself both keep partitions from it`() {
        var bench = Bench(partitions: [Self.mine, Self.theirs])
        _ = bench.join(["web2", "web3"])
        _ = bench.tell(.election("mine", Self.leading))
        let leave = [Action.leave("mine", atOnce: false), .leave("theirs", atOnce: false)]
        #expect(bench.tell(.cordons(["web1"])) == leave)
        #expect(
            bench.tell(.asked("mine", by: "web2", candidate: Self.candidate))
                == [.handOver("mine", to: Self.candidate)])
        #expect(bench.tell(.ended("theirs"), .ended("mine")) == [])
        #expect(bench.tell(.own(PartitionNode("web1", isCordoned: true)), .cordons([])) == [])
        #expect(PartitionGroupState(bench.machine).isCordoned)
        #expect(bench.tell(.own("web1")) == [.start(Self.mine), .start(Self.theirs)])
        #expect(!PartitionGroupState(bench.machine).isCordoned)
    }

    @Test func `others take what a node has that an operator cordons, and do not wait for one that has gone`() {
        var bench = Bench(partitions: [Self.theirs, Self.others]) { $0.rebalanceDelay = .zero }
        _ = bench.join(["web2", "web3"])
        #expect(bench.machine.roles == ["theirs": .next])
        _ = bench.tell(.election("theirs", Self.waiting))
        #expect(bench.tell(.cordons(["web2"])) == [.seek("theirs"), .start(Self.others)])
        #expect(PartitionGroupState(bench.machine).nodes.map(\.isCordonedByOperator) == [false, true, false])
        // It goes, and is cordoned: nothing is kept for it.
        _ = bench.tell(.members(["web1", "web3"]))
        #expect(bench.machine.roster.awayNames.isEmpty && bench.machine.plan?["theirs"]?.home == "web1")
        // One that goes first, and is cordoned then.
        _ = bench.tell(.members(["web1"]))
        #expect(bench.machine.roster.awayNames == ["web3"] && bench.machine.plan?["others"]?.home == "web3")
        _ = bench.tell(.cordons(["web2", "web3"]))
        #expect(bench.machine.roster.awayNames.isEmpty && bench.machine.plan?["others"]?.home == "web1")
    }

    @Test func `a node stands for no more than its session can watch, for what is its own first`() {
        let own = (0..<4).map { Partition("own\($0)", preferred: ["web1", "web2"]) }
        let foreign = (0..<2).map { Partition("alien\($0)", preferred: ["web2", "web1"]) }
        var bench = Bench(partitions: own + foreign, candidateBytes: 96) { $0.watchBudget = 350 }
        // An own one takes 100, one that it is next in line for twice 102.
        #expect(bench.join(["web2"]) == own.prefix(3).map { .start($0) })
        #expect(PartitionGroupState(bench.machine).unwatchable == ["alien0", "alien1", "own3"])
        #expect(!PartitionGroupState(bench.machine).isSettled)
        #expect(bench.tell(.partitions(Array(own.dropFirst()) + foreign)) == [.leave("own0", atOnce: true)])
        #expect(bench.tell(.ended("own0")) == [.start(own[3])])
        #expect(PartitionGroupState(bench.machine).unwatchable == ["alien0", "alien1"])
        #expect(bench.tell(.partitions(foreign)) == own.dropFirst().map { .leave($0.id, atOnce: true) })
        #expect(bench.tell(.ended("own1"), .ended("own2"), .ended("own3")) == [.start(foreign[0])])
        #expect(bench.tell(.partitions([foreign[1]])) == [.leave("alien0", atOnce: true)])
        #expect(bench.tell(.ended("alien0")) == [.start(foreign[1])])
        #expect(PartitionGroupState(bench.machine).unwatchable.isEmpty && bench.machine.watchedBytes == 204)
    }

    @Test func `a node that stops takes nothing more and lets its elections end`() {
        var bench = Bench(partitions: [Self.mine, Self.theirs])
        _ = bench.join(["web2"])
        #expect(bench.tell(.stop) == [])
        #expect(bench.tell(.election("mine", Self.waiting), .members(["web1"])) == [])
        #expect(bench.tell(.ended("mine"), .ended("theirs")) == [])
        #expect(bench.machine.seats.isEmpty && bench.machine.nextTime == nil)
    }

    @Test func `two nodes never both keep a partition, nor both leave it: one of a plan's first two owns it`() {
        // Each node's own view, whatever the group looks like.
        let partitions = (0..<200).map { Partition("p\($0)") }
        let nodes = (0..<6).map { PartitionNode("web\($0)", capacity: $0 == 0 ? 20 : nil) }
        var standing: [ZNodeName: Int] = [:]
        var owners: [ZNodeName: [String]] = [:]
        for node in nodes {
            var bench = Bench(node, partitions: partitions)
            _ = bench.join(nodes.filter { $0 != node })
            for (id, role) in bench.machine.roles {
                standing[id, default: 0] += 1
                if role == .owner { owners[id, default: []].append(node.id) }
            }
        }
        #expect(standing.count == 200 && standing.values.allSatisfy { $0 == 2 })
        #expect(owners.count == 200 && owners.values.allSatisfy { $0.count == 1 })
    }
}
