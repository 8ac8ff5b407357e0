import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct ElectionEpochTests {
    @Test func `an epoch is read as it was written`() {
        let epochs = [
            ElectionEpoch(leader: "a=b\nc", candidate: "_c_x-lock-0000000001", priority: 7, previous: nil),
            ElectionEpoch(leader: "", candidate: "c", priority: 0, previous: "before"),
        ]
        for epoch in epochs { #expect(ElectionEpoch(epoch.bytes) == epoch) }
    }

    @Test func `what is no epoch is none`() {
        #expect(ElectionEpoch([]) == nil)
        #expect(ElectionEpoch(Array("leader=one\n".utf8)) == nil)
        #expect(ElectionEpoch(Array("leader=one\ncandidate=c\npriority=high\n".utf8))?.priority == 0)
    }

    @Test func `states and failures say in words what they are`() {
        let failure = ElectionFailure(reason: "broken", retryDelay: .seconds(1))
        let states: [(LeaderState, String)] = [
            (.waiting(position: nil), "waiting"), (.waiting(position: 2), "waiting behind 2"),
            (.leading(number: 1, token: FencingToken(rawValue: 7)), "leading, term 1 with token 7"),
            (.failed(failure), "failed: broken; it rejoins after 1.0 seconds"), (.stopped, "stopped"),
        ]
        for (state, words) in states { #expect(state.description == words) }
        #expect(LeaderState.failed(failure).failure == failure && LeaderState.stopped.failure == nil)
        let error = RecipeError(.lost, in: .election, path: "/app", lossReason: .deadlinePassed, message: "too late")
        #expect(error.description == #"lost at "/app" (deadlinePassed): too late"#)
    }

    @Test func `a candidate beside another has that one's kind and number`() {
        let own = ContenderName("_c_11111111-1111-4111-8111-111111111111-lock-0000000009")
        let holder = ContenderName("any-prefix-lock-0000000003")
        #expect(own?.named(beside: holder!) == "_c_11111111-1111-4111-8111-111111111111-lock-0000000003")
    }
}
