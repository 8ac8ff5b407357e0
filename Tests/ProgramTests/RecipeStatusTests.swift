import Testing
import ZooKeeper

@testable import zkrecipes

/// The recognition of recipes by the names of their znodes, and the order of their queues.
@Suite struct RecipeStatusTests {
    private static let uuid = "0b0c2a34-5a4e-4f0e-9a7d-2f1d6c3b8e10"
    private static let hex = "0b0c2a345a4e4f0e9a7d2f1d6c3b8e10"

    @Test(arguments: [
        (["_c_\(uuid)-lock-0000000000"], RecipeKind.mutex),
        (["lock-0000000000"], .mutex),
        (["\(hex)__lock__0000000000"], .mutex),
        (["_c_\(uuid)-latch-0000000000"], .leaderLatch),
        (["_c_\(uuid)-__READ__0000000000"], .readWriteLock),
        (["_c_\(uuid)-__WRIT__-2147483648"], .readWriteLock),
        (["\(hex)__rlock__0000000000", "\(hex)__lock__0000000001"], .readWriteLock),
        (["locks", "leases"], .semaphore), (["leases"], .semaphore),
        (["signal", "locks"], .exclusiveMode), (["locks", "members", "windows", "jobs"], .exclusiveMode),
        (["windows"], .exclusiveMode),
        (["members", "partitions"], .partitionGroup), (["members", "cordons"], .partitionGroup),
        (["leader", "runs"], .scheduledTask), (["control", "runs", "clock", "leader"], .scheduledTask),
        (["ready", uuid, "participant-\(uuid)"], .doubleBarrier), (["participant-\(uuid)"], .doubleBarrier),
        (["ready", hex], .doubleBarrier),
    ])
    func `a recipe is recognized by its children`(names: [String], kind: RecipeKind) {
        #expect(RecipeKind.recognized(byChildren: names, hasEpoch: false) == kind)
    }

    @Test(arguments: [
        ["block-0000000001"], ["lock-1"], ["a", "b"], ["members"], ["locks"], ["ready", "steady"], [uuid], [hex], [],
        ["runs"], ["leader"], ["partitions"], ["clock-0000000001"],
    ])
    func `other children are no recipe`(names: [String]) {
        #expect(RecipeKind.recognized(byChildren: names, hasEpoch: false) == nil)
    }

    @Test func `a queue with an epoch is an election`() {
        let names = ["_c_\(Self.uuid)-lock-0000000000"]
        #expect(RecipeKind.recognized(byChildren: names, hasEpoch: true) == .leaderElection)
    }

    // MARK: Queues

    private func order(_ names: String..., czxids: [ZNodeName: Int64] = [:]) -> [String] {
        QueueOrder(names, czxids: czxids).entries.map { entry in
            "\(entry.name.name) \(entry.waitsFor.map(String.init) ?? "holds")"
        }
    }

    @Test func `each participant of a mutex waits for the one ahead`() {
        #expect(
            order("b-lock-0000000002", "a-lock-0000000003", "c-lock-0000000001", "readme") == [
                "c-lock-0000000001 holds", "b-lock-0000000002 0", "a-lock-0000000003 1",
            ])
    }

    @Test func `readers hold a lock together, and wait for writers ahead only`() {
        #expect(
            order(
                "a__READ__0000000001", "b__READ__0000000002", "c__WRIT__0000000003", "d__READ__0000000004",
                "e__READ__0000000005") == [
                    "a__READ__0000000001 holds", "b__READ__0000000002 holds", "c__WRIT__0000000003 1",
                    "d__READ__0000000004 2", "e__READ__0000000005 2",
                ])
    }

    @Test func `of two participants with one number, the older one is ahead`() {
        #expect(
            order(
                "a-lock-0000000004", "b-lock-0000000004",
                czxids: ["a-lock-0000000004": 9, "b-lock-0000000004": 5]) == [
                    "b-lock-0000000004 holds", "a-lock-0000000004 0",
                ])
    }

    @Test func `kazoo's and Curator's participants do not exclude each other`() {
        let names = ["_c_\(Self.uuid)-lock-0000000000", "\(Self.hex)__lock__0000000001"]
        let queue = QueueOrder(names)
        #expect(queue.holders == 2)
        #expect(queue.layouts == [.curator, .kazoo])
    }

    @Test func `numbers past the end of the server's counter are ahead`() {
        #expect(
            order("a-lock-2147483647", "b-lock--2147483648") == ["b-lock--2147483648 holds", "a-lock-2147483647 0"])
    }

    // MARK: Searching

    /// A tree in memory: the children of each path; names that end with `!` are ephemeral, and with `?` refused.
    private func search(
        _ tree: [String: [String]], root: String = "/", depth: Int = 5, znodes: Int = 100, children: Int = 1000
    ) -> RecipeSearchPlan {
        var plan = RecipeSearchPlan(
            root: root, bounds: .init(depth: depth, znodes: znodes, children: children))
        while !plan.nextLevel.isEmpty {
            plan.record(
                plan.nextLevel.map { path in
                    if path.hasSuffix("?") { return .refused }
                    return .listed(names: tree[path] ?? [], isEphemeral: path.hasSuffix("!"))
                })
        }
        return plan
    }

    private func summary(_ plan: RecipeSearchPlan) -> [String] { plan.found.map { "\($0.path) \($0.kind.rawValue)" } }

    @Test func `a search finds recipes, groups and what is below a structured recipe`() {
        let plan = search([
            "/": ["app", "zookeeper", "locks"], "/zookeeper": ["quota"],
            "/locks": ["a"], "/locks/a": ["_c_\(Self.uuid)-lock-0000000000"],
            "/app": ["leader", "leader-epoch", "leader-requests", "group", "orders"],
            "/app/leader": ["_c_\(Self.uuid)-lock-0000000001"],
            "/app/leader-requests": ["x!"], "/app/group": ["one!", "two!"],
            "/app/orders": ["signal", "locks", "nested"], "/app/orders/locks": ["a__READ__0000000001"],
            "/app/orders/nested": ["a__READ__0000000001"],
        ])
        #expect(
            summary(plan) == [
                "/app/group group", "/app/leader leader-election", "/app/orders exclusive-mode",
                "/app/orders/nested read-write-lock", "/locks/a mutex",
            ])
        #expect(plan.skipped == 0 && plan.refused.isEmpty && !plan.isDeeper)
    }

    @Test func `children of which some are persistent are no group`() {
        #expect(search(["/": ["a"], "/a": ["one!", "two"]]).found.isEmpty)
    }

    @Test func `a depth bounds the search, and a group at that depth is found`() {
        let tree = [
            "/": ["a"], "/a": ["b", "g"], "/a/g": ["one!"], "/a/b": ["c"], "/a/b/c": ["x-lock-0000000001"],
        ]
        let near = search(tree, depth: 2)
        #expect(summary(near) == ["/a/g group"])
        #expect(near.isDeeper)
        #expect(summary(search(tree, depth: 3)) == ["/a/b/c mutex", "/a/g group"])
    }

    @Test func `a search lists at most a number of znodes, and counts the others`() {
        let names = (0..<50).map { "n\($0)" }
        let plan = search(["/": names], znodes: 11)
        #expect(plan.listed == 11)
        #expect(plan.skipped == 40)
        #expect(search(["/": names], children: 20).skipped == 30)
        #expect(search(["/": names], children: 20).skippedChildren == 30)
        #expect(plan.skippedChildren == 0)
    }

    @Test(arguments: [(40, 0, true, false), (30, 30, false, true), (40, 30, true, true)])
    func `a list that is cut advises what helps`(skipped: Int, children: Int, raisesLimit: Bool, tellsBound: Bool) {
        var list = RecipeList(root: "/", depth: 5)
        (list.skipped, list.skippedChildren) = (skipped, children)
        let remark = list.remarks.joined()
        #expect(remark.contains("name a path further down"))
        #expect(remark.contains("raise --max-znodes") == raisesLimit)
        #expect(remark.contains("at most 1,000 are read") == tellsBound)
    }

    @Test func `a list at the greatest depth does not advise a greater one`() {
        var list = RecipeList(root: "/", depth: RecipeList.maximumDepth)
        list.isDeeper = true
        #expect(list.remarks.count == 1 && !list.remarks[0].contains("--depth"))
    }

    @Test func `a znode that cannot be listed is reported, and the search continues`() {
        let plan = search(["/": ["secret?", "a"], "/a": ["x-lock-0000000001"]])
        #expect(plan.refused == ["/secret?"])
        #expect(summary(plan) == ["/a mutex"])
    }

    // MARK: Printing

    @Test func `hostile data are shortened and escaped`() {
        let text = "\u{1b}[2J" + String(repeating: "x", count: 5000)
        let facts = ZNodeFacts(stat: nil, data: Array(text.utf8))
        var status = RecipeStatus(path: "/l", kind: .mutex)
        status.participants = [
            RecipeParticipant(state: .holds, position: 0, znode: "\u{202e}-lock-0000000001", facts: facts, id: text)
        ]
        (status.total, status.holders) = (3000, 1)
        status.waiting = 2999
        let table = status.lines.dropFirst().joined()
        #expect(!table.unicodeScalars.contains("\u{1b}") && !table.unicodeScalars.contains("\u{202e}"))
        #expect(status.lines.allSatisfy { $0.count < 500 })
        #expect(status.lines[0].hasSuffix("; 2,999 wait"))
        #expect(status.lines.contains { $0.hasPrefix("1 of 3,000 participants are shown") })
        #expect(!status.json.unicodeScalars.contains("\u{1b}") && status.json.count < 3000)
    }

    @Test func `a processor does not hold an exclusive mode`() {
        let stat = ZNodeStat(czxid: ZXID(rawValue: 1), mzxid: ZXID(rawValue: 1), pzxid: ZXID(rawValue: 1))
        var status = RecipeStatus(path: "/orders", kind: .exclusiveMode)
        status.participants = [.member, .holds].enumerated().map { position, state in
            RecipeParticipant(
                state: state, position: position, znode: "a__READ__000000000\(position)",
                facts: ZNodeFacts(stat: stat, data: []), id: "web-\(position)")
        }
        status.total = 2
        #expect(status.holder == nil && status.holderName == nil && status.since == nil)
        #expect(status.lines[0] == "/orders: exclusive mode, no window")
        #expect(!status.json.contains("\"holder\""))
        status.namedHolder = "batch"
        status.holders = 1
        #expect(status.lines[0] == "/orders: exclusive mode, held by batch")
    }

    @Test func `data that are no text, too long or refused are named`() {
        let stat = ZNodeStat(
            czxid: ZXID(rawValue: 1), mzxid: ZXID(rawValue: 1), pzxid: ZXID(rawValue: 1), dataLength: 2)
        #expect(ZNodeFacts(stat: stat, data: [0xff, 0xfe]).description == "2 bytes, not UTF-8")
        #expect(ZNodeFacts(stat: stat, .refused).description == "no permission to read")
        #expect(ZNodeFacts(stat: stat, .tooLong).description == "2 bytes")
    }
}
