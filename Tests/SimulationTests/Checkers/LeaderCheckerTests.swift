import Testing
import ZooKeeperSimulator

/// The bound is 100 ms.
@Suite struct LeaderCheckerTests {
    private static let checker = LeaderChecker(successorBound: .milliseconds(100))
    private static let rules = LeaderChecker.rules

    @Test func `an empty history breaks nothing`() {
        #expect(Self.checker.violations(in: []).isEmpty)
    }

    @Test func `terms that end in every way are accepted`() {
        let good: [Deed<LeaderAction>] = [
            (0, "a", .waiting), (0, "b", .waiting), (0, "c", .waiting),
            (50, "a", .began(token: 10)), (60, "a", .valid(10, accepted: true)), (100, "a", .ended(token: 10)),
            (101, "a", .waiting), (150, "b", .began(token: 20)), (200, "b", .valid(20)), (210, "b", .crashed),
            // Frozen: its successor comes before it says that it is over.
            (300, "c", .began(token: 30)), (310, "c", .valid(30, accepted: true)), (400, "a", .began(token: 40)),
            (401, "a", .valid(40, accepted: true)), (490, "a", .valid(40)), (550, "c", .late(30, accepted: false)),
            (550, "c", .ended(token: 30)), (560, "c", .left),
            // The same again, after which nobody waits for a long time.
            (570, "a", .ended(token: 40)), (571, "a", .waiting), (600, "a", .began(token: 50)),
            (601, "a", .valid(50)), (602, "a", .ended(token: 50)), (5000, "d", .waiting),
            (5090, "d", .began(token: 60)), (5100, "d", .valid(60)), (5110, "d", .ended(token: 60)),
            // The history stops before the bound has passed.
            (5111, "d", .waiting), (5200, "e", .waiting),
        ]
        #expect(Self.checker.violations(in: history(good)) == [])
    }

    static let bugs: [Planted<LeaderAction>] = [
        Planted(
            "reads taken as proof: the old leader leads on behind the cut", breaks: rules.overlap,
            in: [
                (0, "b", .waiting), (1, "a", .began(token: 10)), (2, "a", .valid(10)), (50, "b", .began(token: 20)),
                (51, "b", .valid(20)), (52, "a", .valid(10)),
            ]),
        Planted(
            "token minted before office was taken", breaks: rules.growth,
            in: [
                (1, "a", .began(token: 20)), (2, "a", .valid(20)), (3, "a", .ended(token: 20)),
                (4, "b", .began(token: 10)), (5, "b", .valid(10)), (6, "b", .ended(token: 10)),
            ]),
        Planted(
            "term's body not awaited: it acts on after the end", breaks: rules.afterEnd,
            in: [(1, "a", .began(token: 10)), (2, "a", .ended(token: 10)), (3, "a", .valid(10))]),
        Planted(
            "watch on the predecessor lost with the connection", breaks: LeaderChecker.succession,
            in: [
                (0, "b", .waiting), (1, "a", .began(token: 10)), (2, "a", .valid(10)), (3, "a", .ended(token: 10)),
                (103, "x", .left), (104, "b", .began(token: 20)),
            ]),
        Planted(
            "node of a crashed leader is persistent", breaks: LeaderChecker.succession,
            in: [
                (0, "b", .waiting), (1, "a", .began(token: 10)), (2, "a", .valid(10)), (3, "a", .crashed),
                (200, "b", .left),
            ]),
        Planted(
            "frozen leader keeps its session: no successor until it is thawed", breaks: LeaderChecker.succession,
            in: [
                (0, "b", .waiting), (1, "a", .began(token: 10)), (2, "a", .valid(10)), (500, "a", .late(10)),
                (500, "a", .ended(token: 10)), (501, "b", .began(token: 20)),
            ]),
        Planted(
            "first term never begins", breaks: LeaderChecker.succession,
            in: [(0, "a", .waiting), (101, "b", .waiting)]),
        Planted(
            "leader does not queue again after its term", breaks: LeaderChecker.succession, LeaderChecker.succession,
            in: [
                (0, "a", .began(token: 10)), (1, "a", .ended(token: 10)), (2, "a", .waiting),
                (110, "a", .began(token: 20)), (111, "a", .ended(token: 20)), (111, "a", .waiting),
                (300, "b", .waiting), (301, "b", .began(token: 30)),
            ]),
        Planted(
            "successor elected on the crashed leader's token", breaks: rules.oneGrant,
            in: [
                (1, "a", .began(token: 10)), (2, "a", .valid(10)), (3, "a", .crashed), (4, "b", .began(token: 10)),
                (5, "b", .valid(10)),
            ]),
    ]

    @Test(arguments: bugs) func `a bug in the election is found`(planted: Planted<LeaderAction>) {
        planted.expectRejection(by: Self.checker)
    }
}

extension LeaderAction {
    static func valid(_ token: Int64, accepted: Bool? = nil) -> Self {
        .acted(token: token, isValid: true, accepted: accepted)
    }

    static func late(_ token: Int64, accepted: Bool? = nil) -> Self {
        .acted(token: token, isValid: false, accepted: accepted)
    }
}
