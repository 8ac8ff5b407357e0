import Testing
import ZooKeeper
import ZooKeeperSimulator

/// Sessions have a timeout of 100 ms.
@Suite struct ValidityCheckerTests {
    @Test func `an empty history breaks nothing`() {
        #expect(ValidityChecker().violations(in: []).isEmpty)
    }

    @Test func `claims that stop before the session ends are accepted`() {
        let good: [Deed<ValidityAction>] = [
            (1, "a", .claims(1)), (2, "b", .claims(2)), (90, "a", .claims(1)), (100, "leader", .ends(1)),
            (101, "a", .claims(3)), (150, "b", .claims(2)), (151, "leader", .ends(2)), (152, "new leader", .ends(2)),
            (160, "leader", .ends(4)), (170, "a", .claims(3)),
        ]
        #expect(ValidityChecker().violations(in: history(good)) == [])
    }

    static let bugs: [Planted<ValidityAction>] = [
        Planted(
            "deadline counted from the receive time", breaks: ValidityChecker.rule,
            in: [
                (0, "a", .claims(1)), (100, "leader", .ends(1)), (103, "a", .claims(1)),
            ]),
        Planted(
            "reads taken as proof: its follower is cut from the leader", breaks: ValidityChecker.rule,
            ValidityChecker.rule,
            in: [
                (90, "a", .claims(1)), (100, "leader", .ends(1)), (150, "a", .claims(1)), (300, "a", .claims(1)),
                (310, "follower", .ends(1)),
            ]),
        Planted(
            "sync taken as proof: its leader is deposed", breaks: ValidityChecker.rule,
            in: [
                (100, "new leader", .ends(1)), (150, "a", .claims(1)), (300, "old leader", .ends(1)),
            ]),
        Planted(
            "five percent left out: claimed in the very instant of the end", breaks: ValidityChecker.rule,
            in: [(100, "a", .claims(1)), (100, "leader", .ends(1))]),
        Planted(
            "clock does not count suspended time: claimed right after SIGCONT", breaks: ValidityChecker.rule,
            in: [(10, "a", .claims(1)), (110, "leader", .ends(1)), (5000, "a", .claims(1)), (5001, "b", .claims(2))]),
        Planted(
            "epoch check removed: the old session's grant rides on the new one's proofs", breaks: ValidityChecker.rule,
            in: [
                (100, "leader", .ends(1)), (120, "a", .claims(2)), (121, "a", .claims(1)),
            ]),
    ]

    @Test(arguments: bugs) func `a bug in the deadline is found`(planted: Planted<ValidityAction>) {
        planted.expectRejection(by: ValidityChecker())
    }
}

extension ValidityAction {
    static func claims(_ session: Int64) -> Self { .claimedValid(SessionID(rawValue: session)) }
    static func ends(_ session: Int64) -> Self { .sessionEnded(SessionID(rawValue: session)) }
}
