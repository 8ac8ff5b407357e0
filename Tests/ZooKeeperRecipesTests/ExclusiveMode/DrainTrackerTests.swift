import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

@Suite struct DrainTrackerTests {
    private static let uuid = "00000000-0000-4000-8000-000000000000"

    private func node(_ kind: ContenderName.Kind, _ number: Int32, tag: String = "00000000") -> String {
        ContenderName.name(uuid: tag + Self.uuid.dropFirst(8), kind: kind, number: number)
    }

    private var own: ContenderName {
        get throws { try #require(ContenderName(node(.write, 5, tag: "eeeeeeee"))) }
    }

    @Test func `only contenders in front of the window are waited for`() throws {
        let listing = [
            node(.read, 1), node(.read, 4, tag: "00000001"), node(.write, 5, tag: "eeeeeeee"), node(.read, 6),
            node(.write, 2, tag: "00000002"), "config", "0-config", "_c_x-__READ__12",
        ]
        let tracker = DrainTracker(listing: listing, own: try own, members: [])
        #expect(
            Set(tracker.waiting.keys.strings) == [
                node(.read, 1), node(.read, 4, tag: "00000001"), node(.write, 2, tag: "00000002"),
            ])
    }

    @Test func `nobody in front is drained at once`() throws {
        let tracker = DrainTracker(listing: [node(.read, 6)], own: try own, members: [])
        #expect(tracker.isDrained)
        #expect(tracker.stragglers.isEmpty)
        #expect(tracker.slowest == nil)
    }

    @Test func `processors are named by their members, others by their znodes`() throws {
        let foreign = node(.read, 2, tag: "12345678")
        let tracker = DrainTracker(
            listing: [node(.read, 1, tag: "abcdef01"), foreign], own: try own,
            members: ["front-abcdef01", "elsewhere-99999999", "no tag at all"])
        #expect(tracker.stragglers == [foreign, "front"].sorted())
    }

    @Test func `a processor that was quicker to pause than the listing was taken takes part`() throws {
        let slow = node(.read, 1, tag: "00000001")
        var tracker = DrainTracker(
            listing: [slow, node(.read, 9, tag: "00000003")], own: try own,
            members: ["slow-00000001", "quick-00000002", "joining-00000003"])
        #expect(tracker.paused == ["quick", "joining"])
        tracker.gone(slow)
        #expect(tracker.paused == ["quick", "joining", "slow"])
        #expect(tracker.slowest == "slow")
    }

    @Test func `counts down, and remembers who was last`() throws {
        let (first, second) = (node(.read, 1, tag: "00000001"), node(.read, 2, tag: "00000002"))
        var tracker = DrainTracker(
            listing: [first, second], own: try own, members: ["one-00000001", "two-00000002"])
        tracker.gone(second)
        #expect(!tracker.isDrained)
        tracker.gone(second)
        #expect(!tracker.isDrained)
        tracker.gone("unknown")
        tracker.gone(first)
        #expect(tracker.isDrained)
        #expect(tracker.slowest == "one")
        #expect(tracker.paused == ["one", "two"])
    }

    @Test func `nobody is the slowest when something else was waited for at last`() throws {
        let (first, second) = (node(.read, 1, tag: "00000001"), node(.read, 2, tag: "00000002"))
        var tracker = DrainTracker(
            listing: [first, second], own: try own, members: ["one-00000001", "two-00000002"])
        tracker.gone(first)
        #expect(tracker.slowest == "one")
        _ = tracker.evict(assumed: .seconds(1))
        #expect(tracker.slowest == nil)
        #expect(tracker.evicted == ["two"])
    }

    @Test func `what a gate reported when it reopened says nothing about a later window`() throws {
        let name = node(.read, 1, tag: "00000001")
        var tracker = DrainTracker(listing: [name], own: try own, members: [])
        var text = ProcessorRecord(member: "one-00000001", name: "one", sessionTimeout: .seconds(4))
        (text.inside, text.oldest, text.state) = (3, .milliseconds(1500), .reopened)
        tracker.seen(name, data: text.bytes)
        #expect(tracker.stragglers == ["one"])
    }

    @Test func `what a processor publishes while draining shows`() throws {
        let name = node(.read, 1, tag: "00000001")
        var tracker = DrainTracker(listing: [name], own: try own, members: [])
        var text = ProcessorRecord(member: "one-00000001", name: "one", sessionTimeout: .seconds(4))
        tracker.seen(name, data: text.bytes)
        #expect(tracker.stragglers == ["one"])
        (text.inside, text.oldest) = (3, .milliseconds(1500))
        tracker.seen(name, data: text.bytes)
        #expect(tracker.stragglers == ["one (3 events inside, the oldest for 1.5 seconds)"])
        text.inside = 1
        tracker.seen(name, data: text.bytes)
        #expect(tracker.stragglers == ["one (1 event inside, the oldest for 1.5 seconds)"])
        tracker.gone(name)
        tracker.seen(name, data: text.bytes)
        #expect(tracker.isDrained)
    }

    @Test func `forcing waits for the longest timeout, told or assumed`() throws {
        let (known, foreign) = (node(.read, 1, tag: "00000001"), node(.read, 2, tag: "00000002"))
        var tracker = DrainTracker(listing: [known, foreign], own: try own, members: [])
        tracker.seen(
            known, data: ProcessorRecord(member: "m", name: "known", sessionTimeout: .seconds(70)).bytes)
        var other = tracker
        #expect(tracker.evict(assumed: .seconds(60)).wait == .seconds(70))
        #expect(other.evict(assumed: .seconds(90)).wait == .seconds(90))
        #expect(tracker.isDrained)
        #expect(tracker.evicted == ["known", foreign])
        #expect(tracker.paused.isEmpty)
    }

    @Test func `forcing nobody waits for nothing`() throws {
        var tracker = DrainTracker(listing: [], own: try own, members: [])
        let (nodes, wait) = tracker.evict(assumed: .seconds(60))
        #expect(nodes.isEmpty)
        #expect(wait == .zero)
    }

    @Test func `somebody with the same number may be in front`() throws {
        let last = Int32.max
        let window = try #require(ContenderName(node(.write, last)))
        let tracker = DrainTracker(listing: [node(.read, last), node(.write, last)], own: window, members: [])
        #expect(tracker.stragglers == [node(.read, last)])
    }

    @Test func `somebody is known when the znode was read, or may not be read`() throws {
        let (first, second) = (node(.read, 1, tag: "00000001"), node(.read, 2, tag: "00000002"))
        var tracker = DrainTracker(listing: [first, second], own: try own, members: [])
        #expect(!tracker.isKnown)
        let text = ProcessorRecord(member: "one-00000001", name: "one", sessionTimeout: .seconds(115))
        tracker.seen(first, data: text.bytes)
        #expect(!tracker.isKnown)
        tracker.unreadable(second)
        #expect(tracker.isKnown)
        #expect(tracker.evict(assumed: .seconds(60)).wait == .seconds(115))
    }
}
