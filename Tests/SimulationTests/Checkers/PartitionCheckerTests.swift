import Testing
import ZooKeeperSimulator

/// The bound is 100 ms.
@Suite struct PartitionCheckerTests {
    private static let checker = PartitionChecker(activeAgainWithin: .milliseconds(100))
    private static let rules = PartitionChecker.rules

    @Test func `an empty history breaks nothing`() {
        #expect(Self.checker.violations(in: []).isEmpty)
    }

    @Test func `partitions that move in every way are accepted`() {
        let good: [Deed<PartitionAction>] = [
            (1, "a", .began(partition: "p", token: 10)), (1, "b", .began(partition: "q", token: 10)),
            (2, "a", .valid("p", 10, accepted: true)), (2, "b", .valid("q", 10, accepted: true)),
            // Given to the preferred node.
            (50, "a", .ended(partition: "p", token: 10)), (60, "b", .began(partition: "p", token: 20)),
            (61, "b", .valid("p", 20, accepted: true)), (90, "b", .valid("q", 10)),
            // The node dies with both.
            (100, "watcher", .crashed(node: "b")), (150, "a", .began(partition: "q", token: 21)),
            (160, "c", .began(partition: "p", token: 30)), (161, "c", .valid("p", 30)), (162, "a", .valid("q", 21)),
            // Frozen: replaced before it knows.
            (250, "d", .began(partition: "p", token: 40)), (251, "d", .valid("p", 40, accepted: true)),
            (252, "a", .valid("q", 21)), (300, "c", .late("p", 30, accepted: false)),
            (301, "c", .ended(partition: "p", token: 30)), (340, "d", .valid("p", 40)), (350, "a", .valid("q", 21)),
        ]
        #expect(Self.checker.violations(in: history(good)) == [])
    }

    static let bugs: [Planted<PartitionAction>] = [
        Planted(
            "given away before the old owner has stopped", breaks: rules.overlap,
            in: [
                (1, "a", .began(partition: "p", token: 10)), (2, "a", .valid("p", 10)),
                (3, "b", .began(partition: "p", token: 20)), (4, "b", .valid("p", 20)), (5, "a", .valid("p", 10)),
            ]),
        Planted(
            "token is the directory's version, which restarted", breaks: rules.growth,
            in: [
                (1, "a", .began(partition: "p", token: 10)), (2, "a", .valid("p", 10)),
                (3, "a", .ended(partition: "p", token: 10)), (4, "b", .began(partition: "p", token: 1)),
                (5, "b", .valid("p", 1)),
            ]),
        Planted(
            "partition of a crashed node is forgotten", breaks: PartitionChecker.succession,
            in: [
                (1, "a", .began(partition: "p", token: 10)), (1, "b", .began(partition: "q", token: 11)),
                (2, "watcher", .crashed(node: "a")), (60, "b", .valid("q", 11)), (103, "b", .valid("q", 11)),
            ]),
        Planted(
            "partition given up for a node that is not there", breaks: PartitionChecker.succession,
            in: [
                (1, "a", .began(partition: "p", token: 10)), (2, "a", .ended(partition: "p", token: 10)),
                (103, "a", .began(partition: "p", token: 20)), (104, "a", .valid("p", 20)),
            ]),
        Planted(
            "frozen node keeps its partitions", breaks: PartitionChecker.succession,
            in: [
                (1, "a", .began(partition: "p", token: 10)), (2, "a", .valid("p", 10)), (500, "a", .late("p", 10)),
                (500, "a", .ended(partition: "p", token: 10)), (501, "b", .began(partition: "p", token: 20)),
            ]),
        Planted(
            "late owner's write is taken", breaks: rules.fencing,
            in: [
                (1, "a", .began(partition: "p", token: 10)), (2, "b", .began(partition: "p", token: 20)),
                (3, "b", .valid("p", 20, accepted: true)), (4, "a", .late("p", 10, accepted: true)),
            ]),
        Planted(
            "partition worked on after it was given up", breaks: rules.afterEnd,
            in: [
                (1, "a", .began(partition: "p", token: 10)), (1, "a", .began(partition: "q", token: 10)),
                (2, "a", .ended(partition: "p", token: 10)), (3, "a", .valid("q", 10)), (3, "a", .valid("p", 10)),
            ]),
    ]

    @Test(arguments: bugs) func `a bug in the distribution is found`(planted: Planted<PartitionAction>) {
        planted.expectRejection(by: Self.checker)
    }
}

extension PartitionAction {
    static func valid(_ partition: String, _ token: Int64, accepted: Bool? = nil) -> Self {
        .acted(partition: partition, token: token, isValid: true, accepted: accepted)
    }

    static func late(_ partition: String, _ token: Int64, accepted: Bool? = nil) -> Self {
        .acted(partition: partition, token: token, isValid: false, accepted: accepted)
    }
}
