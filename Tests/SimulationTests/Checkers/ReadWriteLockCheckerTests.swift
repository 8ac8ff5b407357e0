import Testing
import ZooKeeperSimulator

@Suite struct ReadWriteLockCheckerTests {
    private static let rules = ReadWriteLockChecker.rules

    @Test func `an empty history breaks nothing`() {
        #expect(ReadWriteLockChecker().violations(in: []).isEmpty)
    }

    @Test func `readers together, writers alone and a downgrade are accepted`() {
        let good: [Deed<LockAction>] = [
            // Two leases of one process share a token; another reader has a higher one, and acts before.
            (1, "b", .began(token: 12, kind: .read)), (2, "b", .valid(12, accepted: true)),
            (3, "a", .began(token: 10, kind: .read)), (4, "a", .began(token: 10, kind: .read)),
            (5, "a", .valid(10, accepted: true)), (6, "a", .ended(token: 10)), (7, "a", .valid(10)),
            (8, "b", .ended(token: 12)), (9, "a", .ended(token: 10)),
            // A writer that becomes a reader beside others, with its token kept.
            (10, "c", .began(token: 20, kind: .write)), (11, "c", .valid(20, accepted: true)),
            (12, "c", .downgraded(token: 20)), (13, "a", .began(token: 25, kind: .read)),
            (14, "a", .valid(25, accepted: true)), (15, "c", .valid(20, accepted: true)), (16, "c", .ended(token: 20)),
            (17, "a", .ended(token: 25)),
            // A writer after them; the frozen reader knows that it is late.
            (18, "b", .began(token: 26, kind: .read)), (19, "b", .valid(26)),
            (20, "c", .began(token: 30, kind: .write)), (20, "c", .valid(30, accepted: true)),
            (21, "b", .late(26, accepted: false)), (22, "b", .ended(token: 26)),
            (23, "vandal", .disturbed(token: 30)), (24, "d", .began(token: 40, kind: .read)),
            (24, "d", .valid(40)), (25, "c", .valid(30)), (26, "c", .crashed),
        ]
        #expect(ReadWriteLockChecker().violations(in: history(good)) == [])
    }

    static let bugs: [Planted<LockAction>] = [
        Planted(
            "downgrade lets the queued writer in", breaks: rules.sharedOverlap,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10)), (3, "a", .downgraded(token: 10)),
                (4, "b", .began(token: 20, kind: .write)), (5, "b", .valid(20)), (6, "a", .valid(10)),
            ]),
        Planted(
            "readers let in before the downgrade is done", breaks: rules.sharedOverlap,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10)),
                (3, "b", .began(token: 20, kind: .read)), (4, "b", .valid(20)), (5, "a", .downgraded(token: 10)),
                (6, "a", .valid(10)),
            ]),
        Planted(
            "read granted inside a lost write lock", breaks: rules.sharedOverlap,
            in: [
                (1, "b", .began(token: 20, kind: .write)), (2, "b", .valid(20)),
                (3, "a", .began(token: 10, kind: .read)), (3, "a", .valid(10)), (4, "b", .valid(20)),
            ]),
        Planted(
            "writer waits for its nearest predecessor only, a reader among several", breaks: rules.sharedOverlap,
            in: [
                (1, "a", .began(token: 10, kind: .read)), (1, "b", .began(token: 11, kind: .read)),
                (2, "a", .valid(10)), (2, "b", .valid(11)), (3, "b", .ended(token: 11)),
                (4, "c", .began(token: 20, kind: .write)), (5, "c", .valid(20)), (6, "a", .valid(10)),
            ]),
        Planted(
            "two writers after a lost answer to the create", breaks: rules.overlap,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10)),
                (3, "b", .began(token: 20, kind: .write)), (4, "b", .valid(20)), (5, "a", .valid(10)),
            ]),
        Planted(
            "shared read node kept while a writer goes by", breaks: rules.sharedOverlap,
            in: [
                (1, "a", .began(token: 10, kind: .read)), (2, "a", .valid(10)), (3, "a", .ended(token: 10)),
                (4, "b", .began(token: 20, kind: .write)), (5, "b", .valid(20)), (6, "b", .ended(token: 20)),
                (7, "a", .began(token: 10, kind: .read)), (8, "a", .valid(10)),
            ]),
        Planted(
            "reader's token taken before the writer's came", breaks: rules.fencing, rules.growth,
            in: [
                (1, "b", .began(token: 20, kind: .write)), (2, "b", .valid(20, accepted: true)),
                (3, "b", .ended(token: 20)), (4, "a", .began(token: 10, kind: .read)),
                (5, "a", .valid(10, accepted: true)),
            ]),
        Planted(
            "readers of two processes share a token", breaks: rules.oneGrant,
            in: [
                (1, "a", .began(token: 10, kind: .read)), (2, "b", .began(token: 10, kind: .read)),
                (3, "a", .valid(10)), (3, "b", .valid(10)),
            ]),
        Planted(
            "last of the sharing readers gone, its lease still valid", breaks: rules.afterEnd,
            in: [
                (1, "a", .began(token: 10, kind: .read)), (2, "a", .began(token: 10, kind: .read)),
                (3, "a", .ended(token: 10)), (4, "a", .ended(token: 10)), (5, "a", .valid(10)),
            ]),
        Planted(
            "frozen reader writes after the writer, and the store takes it", breaks: rules.fencing,
            in: [
                (1, "a", .began(token: 10, kind: .read)), (2, "b", .began(token: 20, kind: .write)),
                (3, "b", .valid(20, accepted: true)), (4, "a", .late(10, accepted: true)),
            ]),
    ]

    @Test(arguments: bugs) func `a bug in the lock is found`(planted: Planted<LockAction>) {
        planted.expectRejection(by: ReadWriteLockChecker())
    }

    @Test func `readers that a mutex would refuse are told apart from it`() {
        let deeds: [Deed<LockAction>] = [
            (1, "a", .began(token: 10, kind: .read)), (1, "b", .began(token: 20, kind: .read)), (2, "a", .valid(10)),
            (3, "b", .valid(20)), (4, "a", .valid(10)),
        ]
        #expect(ReadWriteLockChecker().violations(in: history(deeds)) == [])
        #expect(
            FencedMutexChecker().violations(in: history(deeds)).map(\.rule) == [FencedMutexChecker.rules.overlap])
    }
}
