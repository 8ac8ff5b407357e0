import Logging
import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

/// Names that Swift takes for equal strings are two names here, as they are two znodes.
@Suite struct NamesAreBytesTests {
    private static let composed = "caf\u{e9}"
    private static let decomposed = "cafe\u{301}"
    private static let both = [composed, decomposed]

    private static func client() throws -> ZooKeeperClient {
        try ZooKeeperClient(configuration: ZooKeeperClientConfiguration(connectionString: "127.0.0.1:2181"))
    }

    private func hasBoth(_ names: some Sequence<String>) -> Bool {
        Set(names: names) == Set(names: Self.both) && Array(names).count == 2
    }

    // MARK: Locks

    @Test func `locks at both paths are two locks`() throws {
        let client = try Self.client()
        let keys = Self.both.map { HeldLock.Key(client, "/locks/\($0)") }
        #expect(keys[0] != keys[1] && Set(keys).count == 2)
    }

    @Test func `several locks of both paths can be taken together, one of them not twice`() throws {
        let client = try Self.client()
        let locks = try Self.both.map { try DistributedMutex(client: client, path: "/locks/\($0)") }
        for order in [locks, locks.reversed()] {
            let paths = try MultiLock(order.map { .mutex($0) }).paths
            // In the order of the bytes, the same for everybody.
            #expect(paths.map { Array($0.utf8) } == Self.both.reversed().map { Array("/locks/\($0)".utf8) })
        }
        #expect(throws: RecipeError.self) { try MultiLock([.mutex(locks[0]), .mutex(locks[0])]) }
    }

    @Test func `a contender knows its own names by their bytes`() {
        let own = ContenderName("_c_k-lock-0000000001")
        #expect(own != nil && own != ContenderName("_c_\u{212a}-lock-0000000001"))
        let upper = ContenderName("_c_K-lock-0000000001")
        #expect(upper?.isOwn(prefix: ContenderName.prefix(uuid: "K")) == true)
        #expect(upper?.isOwn(prefix: ContenderName.prefix(uuid: "\u{212a}")) == false)
        let names = Self.both.map { ContenderName("\($0)-lock-0000000001") }
        #expect(names[0] != names[1])
    }

    @Test(arguments: ["/x\u{600}/\u{301}a", "/\u{301}a", "/a\u{600}/\u{600}/\u{301}a"])
    func `a path is taken apart at its slashes, also where Swift merges them with what is beside them`(path: String) {
        let (directory, name) = path.asChild
        #expect(name.hasBytes(of: "\u{301}a"))
        #expect((directory == "/" ? "/\(name)" : "\(directory)/\(name)").hasBytes(of: path))
        #expect(ZNodePath.name(of: path).hasBytes(of: name))
    }

    // MARK: Elections, groups, caches

    @Test func `participants, members and entries are compared by bytes`() {
        let participants = Self.both.map { ElectionParticipant(id: $0, isLeader: false, znode: "c") }
        #expect(participants[0] != participants[1])
        let members = Self.both.map { GroupMember(id: $0, data: nil, stat: nil, isSelf: false) }
        #expect(members[0] != members[1] && Set(members).count == 2)
        let cached = Self.both.map { CachedZNode(path: "/a/\($0)", data: []) }
        #expect(cached[0] != cached[1])
    }

    @Test func `a snapshot holds both children, in the order of their bytes`() {
        let children = Self.both.map { CachedZNode(path: "/a/\($0)", data: Array($0.utf8)) }
        let snapshot = CacheSnapshot(root: "/a", znodes: children)
        #expect(snapshot.count == 2)
        for name in Self.both { #expect(snapshot[name]?.data == Array(name.utf8)) }
        #expect(snapshot.sorted.map { Array($0.name.utf8) } == Self.both.reversed().map { Array($0.utf8) })
        // A child whose name begins with a mark that Swift merges with the slash.
        let marked = CacheSnapshot(root: "/a", znodes: [CachedZNode(path: "/a/\u{301}b", data: [1])])
        #expect(marked["\u{301}b"]?.data == [1] && marked.sorted.first?.name.hasBytes(of: "\u{301}b") == true)
        #expect(marked[path: "/a/\u{301}b"] != nil)
    }

    // MARK: Partitions

    @Test func `partitions and nodes of both names are four`() {
        let partitions = Self.both.map { Partition($0) }
        let nodes = Self.both.map { PartitionNode($0) }
        #expect(partitions[0] != partitions[1] && nodes[0] != nodes[1])
        #expect(Partition("a", preferred: [Self.composed]) != Partition("a", preferred: [Self.decomposed]))
        let plan = PartitionPlan(partitions: partitions, nodes: nodes)
        #expect(hasBoth(plan.placements.map(\.partition.id)))
        #expect(plan.balance.count == 2 && plan.balance.values.reduce(0, +) == 2)
        for name in Self.both {
            #expect(plan[name]?.partition.id.hasBytes(of: name) == true)
            #expect(hasBoth(plan.ranking(of: name)))
            #expect(plan.balance[name] != nil)
        }
    }

    @Test func `a preferred node is the one with its bytes`() {
        for name in Self.both {
            let other = name == Self.both[0] && name.hasBytes(of: Self.both[0]) ? Self.both[1] : Self.both[0]
            let partition = Partition("a", preferred: [name])
            let plan = PartitionPlan(partitions: [partition], nodes: Self.both.map { PartitionNode($0) })
            #expect(plan["a"]?.home?.hasBytes(of: name) == true)
            #expect(plan["a"]?.rule == .preferred(0))
            let without = PartitionPlan(partitions: [partition], nodes: [PartitionNode(other)])
            #expect(without["a"]?.rule == .hash)
            #expect(without["a"]?.missingNodes.first?.hasBytes(of: name) == true)
            let away = PartitionPlan(
                partitions: [partition], nodes: Self.both.map { PartitionNode($0) }, absent: [name])
            #expect(away["a"]?.isHomeAway == true && away["a"]?.owner?.hasBytes(of: other) == true)
        }
    }

    @Test func `a node of a group tells itself from the one with its other name`() {
        var machine = PartitionGroupStateMachine(
            own: PartitionNode(Self.composed), configuration: PartitionGroup.Configuration(), warmsUp: false)
        machine.partitions = [Partition("a", preferred: [Self.decomposed]), Partition("b", preferred: [Self.composed])]
        let now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
        let members = Self.both.map { PartitionNode($0) }
        let actions = machine.handle([.cordons([]), .standing(7), .members(members)], now: now)
        #expect(machine.roles == ["a": .next, "b": .owner])
        #expect(actions.count == 2)
        #expect(machine.roster.present.count == 2)
        // The mark of the other one is not its own.
        _ = machine.handle([.cordons(Set(names: [Self.decomposed]))], now: now)
        #expect(machine.roster.ownMarked.takesPartitions)
        #expect(machine.roles["a"] == .owner)
    }

    @Test func `a new list that differs in nothing but the bytes of an id is another list`() {
        var machine = PartitionGroupStateMachine(
            own: "web1", configuration: PartitionGroup.Configuration(), warmsUp: false)
        machine.partitions = [Partition(Self.composed)]
        let now = MonotonicInstant(nanoseconds: 1_000_000_000_000)
        _ = machine.handle([.cordons([]), .standing(7), .members(["web1"])], now: now)
        let actions = machine.handle([.partitions([Partition(Self.decomposed)])], now: now)
        #expect(
            actions.contains { if case .start(let new) = $0 { new.id.hasBytes(of: Self.decomposed) } else { false } })
        #expect(
            actions.contains {
                if case .leave(let id, atOnce: true) = $0 { id.hasBytes(of: Self.composed) } else { false }
            })
    }

    @Test func `names in a list may begin with a mark that Swift merges with the comma`() {
        let partition = Partition("a", preferred: ["web1", "\u{301}web2", "web3"])
        let read = Partition(id: "a", data: partition.nodeData)
        #expect(read.preferred.map { Array($0.utf8) } == partition.preferred.map { Array($0.utf8) })
        #expect(read == partition)
    }

    // MARK: Texts

    @Test func `fields of a text are told apart by bytes`() {
        var text = KeyValueData()
        text["K"] = "1"
        text["\u{212a}"] = "2"
        #expect(text["K"] == "1" && text["\u{212a}"] == "2" && text.fields.count == 2)
        #expect(KeyValueData(text.bytes) == text)
        var other = KeyValueData()
        other["K"] = "1"
        other["K"] = Self.composed
        var third = other
        third["K"] = Self.decomposed
        #expect(other != third)
    }

    @Test func `a window counts readers of both names down one by one`() throws {
        let own = try #require(ContenderName("_c_w-__WRIT__0000000009"))
        let readers = Self.both.map { "\($0)-__READ__0000000001" }
        var tracker = DrainTracker(listing: readers, own: own, members: [])
        #expect(tracker.waiting.count == 2)
        tracker.gone(readers[0])
        #expect(!tracker.isDrained)
        tracker.gone(readers[1])
        #expect(tracker.isDrained)
    }
}
