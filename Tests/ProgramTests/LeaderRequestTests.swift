import ArgumentParser
import Testing
import ZooKeeper
import ZooKeeperRecipes

@testable import zkrecipes

/// The participants that operators name, and what commands say about them.
@Suite struct LeaderRequestTests {
    private let participants = [
        ElectionParticipant(id: "web-2", isLeader: true, znode: "a-lock-0000000001"),
        ElectionParticipant(id: "web-2", isLeader: false, znode: "b-lock-0000000002"),
        ElectionParticipant(id: "web-3", isLeader: false, znode: "c-lock-0000000003"),
    ]

    private func successor(_ name: String) throws -> String {
        try LeaderRequestOptions.successor(name, of: "/l", in: participants).znode
    }

    private func refusal(_ name: String) -> String {
        (#expect(throws: ValidationError.self) { try successor(name) })?.message ?? ""
    }

    @Test func `a successor is named by its ID, or by its znode if another participant has the ID`() throws {
        #expect(try successor("web-3") == "c-lock-0000000003")
        #expect(try successor("b-lock-0000000002") == "b-lock-0000000002")
        #expect(refusal("web-2").contains("2 participants of /l have this ID"))
        #expect(refusal("web-2").contains("a-lock-0000000001 (leads), b-lock-0000000002"))
        #expect(refusal("a-lock-0000000001").contains("it already leads /l;"))
        #expect(refusal("web-4").contains("it does not wait for the leadership of /l;"))
    }

    @Test func `participants with the same ID are told apart`() {
        let effects = LeaderRequestOptions.effects(nil, participants)
        #expect(effects.count == 2)
        #expect(
            effects[0].hasPrefix("web-2 (b-lock-0000000002) leads next, once the work of web-2 (a-lock-0000000001)"))
        #expect(effects[1] == "2 participants have the ID web-2: give each its own.")
        #expect(
            LeaderRequestOptions.effects(participants[2], Array(participants.dropFirst()))[0].hasPrefix("web-3 leads"))
    }

    @Test func `an eviction in progress is described with the time that remains`() throws {
        var eviction = LockQueueEntry.Eviction([])
        (eviction.participantID, eviction.duration) = ("near", .seconds(10))
        let start = Timestamp(millisecondsSince1970: 1_000_000)
        func text(_ now: Timestamp) -> String { eviction.text(operatorID: "alice", since: start, now: now) }
        #expect(text(start + .milliseconds(2500)) == "alice is evicting near; about 8 s remain")
        // The clock of this host is behind, then ahead.
        #expect(text(start - .seconds(5)) == "alice is evicting near; about 10 s remain")
        #expect(text(start + .seconds(11)).hasPrefix("alice is evicting near; that ends soon"))
        eviction.reason = "its host is down"
        #expect(text(start).hasPrefix("alice is evicting near (its host is down); about 10 s"))
    }
}
