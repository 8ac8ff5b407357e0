import Testing
import ZooKeeperSimulator

@Suite struct FencedMutexCheckerTests {
    private static let rules = FencedMutexChecker.rules

    @Test func `an empty history breaks nothing`() {
        #expect(FencedMutexChecker().violations(in: []).isEmpty)
    }

    @Test func `grants one after the other are accepted, with all that may befall them`() {
        let good: [Deed<LockAction>] = [
            (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10, accepted: true)),
            (3, "a", .ended(token: 10)),
            // One that is late, knows it, and is refused.
            (3, "b", .began(token: 20, kind: .write)), (3, "b", .valid(20)), (5, "b", .valid(20, accepted: true)),
            (9, "c", .began(token: 30, kind: .write)), (9, "c", .valid(30, accepted: true)),
            (10, "b", .late(20, accepted: false)), (10, "b", .ended(token: 20)), (11, "c", .crashed),
            // One whose znode was deleted may overlap and may be refused.
            (12, "d", .began(token: 40, kind: .write)), (12, "d", .valid(40)), (13, "vandal", .disturbed(token: 40)),
            (14, "e", .began(token: 50, kind: .write)), (14, "e", .valid(50, accepted: true)),
            (15, "d", .valid(40, accepted: false)), (16, "d", .ended(token: 40)), (17, "e", .valid(50)),
            // One that learns too late that it had been granted the lock.
            (18, "f", .began(token: 45, kind: .write)), (18, "f", .late(45)), (18, "f", .ended(token: 45)),
        ]
        #expect(FencedMutexChecker().violations(in: history(good)) == [])
        #expect(FencedMutexChecker().violations(in: history(good).shuffledInTime()) == [])
    }

    static let bugs: [Planted<LockAction>] = [
        Planted(
            "epoch check removed: granted on the old session's node", breaks: rules.refusal, rules.overlap,
            in: [
                (1, "b", .began(token: 20, kind: .write)), (2, "b", .valid(20, accepted: true)),
                (3, "a", .began(token: 10, kind: .write)), (3, "a", .valid(10, accepted: false)),
                (4, "b", .valid(20, accepted: true)),
            ]),
        Planted(
            "deadline counted from the receive time: valid when the next one is", breaks: rules.overlap,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10)),
                (40, "b", .began(token: 20, kind: .write)), (41, "b", .valid(20)), (42, "a", .valid(10)),
                (43, "a", .late(10)), (44, "b", .valid(20)),
            ]),
        Planted(
            "reads taken as proof: a short grant comes and goes inside", breaks: rules.overlap,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10)),
                (3, "b", .began(token: 20, kind: .write)), (4, "b", .valid(20)), (5, "b", .ended(token: 20)),
                (6, "a", .valid(10)), (7, "a", .ended(token: 10)),
            ]),
        Planted(
            "token taken from the sequence number after the container was reaped", breaks: rules.fencing, rules.growth,
            in: [
                (1, "a", .began(token: 7, kind: .write)), (2, "a", .valid(7, accepted: true)),
                (3, "a", .ended(token: 7)), (4, "b", .began(token: 0, kind: .write)),
                (5, "b", .valid(0, accepted: true)), (6, "b", .ended(token: 0)),
            ]),
        Planted(
            "token taken from the directory: two grants have one", breaks: rules.oneGrant,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10)), (3, "a", .ended(token: 10)),
                (4, "b", .began(token: 10, kind: .write)), (5, "b", .valid(10)),
            ]),
        Planted(
            "node kept for the next acquire of the same process", breaks: rules.oneGrant,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10)), (3, "a", .ended(token: 10)),
                (4, "a", .began(token: 10, kind: .write)), (5, "a", .valid(10)),
            ]),
        Planted(
            "release forgets to end the validity", breaks: rules.afterEnd,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .ended(token: 10)), (3, "a", .valid(10)),
            ]),
        Planted(
            "validity kept in a file, over the process's death", breaks: rules.afterEnd,
            in: [(1, "a", .began(token: 10, kind: .write)), (2, "a", .crashed), (3, "a", .valid(10))]),
        Planted(
            "own node's deletion hidden by a proof: the store sees the next one first", breaks: rules.refusal,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10, accepted: true)),
                (3, "b", .began(token: 20, kind: .write)), (3, "b", .late(20, accepted: true)),
                (4, "a", .valid(10, accepted: false)),
            ]),
        Planted(
            "the late one's write is taken, after its znode was deleted", breaks: rules.fencing,
            in: [
                (1, "a", .began(token: 10, kind: .write)), (2, "vandal", .disturbed(token: 10)),
                (3, "b", .began(token: 20, kind: .write)), (3, "b", .valid(20, accepted: true)),
                (4, "a", .late(10, accepted: true)),
            ]),
        Planted(
            "body started before the grant", breaks: rules.beginning,
            in: [(1, "a", .valid(10)), (2, "a", .began(token: 10, kind: .write))]),
    ]

    @Test(arguments: bugs) func `a bug in the lock is found`(planted: Planted<LockAction>) {
        planted.expectRejection(by: FencedMutexChecker())
    }

    @Test func `a violation names who, when, the tokens and the entries`() {
        let deeds: [Deed<LockAction>] = [
            (1, "a", .began(token: 10, kind: .write)), (2, "a", .valid(10)), (3, "b", .began(token: 20, kind: .write)),
            (4, "b", .valid(20)), (5, "a", .valid(10)),
        ]
        #expect(
            FencedMutexChecker().violations(in: history(deeds)).map(\.description) == [
                "Two grants are not valid at once: a (token 10) and b (token 20), at 0.002 s and 0.004 s and 0.005 s "
                    + "(entries [1, 3, 4])"
            ])
    }

    @Test func `entries of one instant count in the order in which they were recorded`() {
        let deeds: [Deed<LockAction>] = [
            (1, "a", .began(token: 10, kind: .write)), (1, "a", .valid(10)), (1, "b", .began(token: 20, kind: .write)),
            (1, "b", .valid(20)),
        ]
        #expect(FencedMutexChecker().violations(in: history(deeds)) == [])
        #expect(
            FencedMutexChecker().violations(in: history(deeds + [(1, "a", .valid(10))])).map(\.rule) == [
                Self.rules.overlap
            ])
    }

    @Test func `a long history is judged whole`() {
        var deeds: [Deed<LockAction>] = []
        for grant in Int64(1)...2500 {
            let (time, name) = (grant * 4, "process \(grant % 7)")
            deeds += [
                (time, name, .began(token: grant, kind: .write)), (time + 1, name, .valid(grant, accepted: true)),
                (time + 2, name, .valid(grant)), (time + 3, name, .ended(token: grant)),
            ]
        }
        #expect(FencedMutexChecker().violations(in: history(deeds)) == [])
        deeds.append((20_000, "process 1", .valid(1)))
        #expect(
            Set(FencedMutexChecker().violations(in: history(deeds)).map(\.rule)) == [
                Self.rules.overlap, Self.rules.afterEnd,
            ])
    }
}

extension LockAction {
    static func valid(_ token: Int64, accepted: Bool? = nil) -> Self {
        .acted(token: token, isValid: true, accepted: accepted)
    }

    static func late(_ token: Int64, accepted: Bool? = nil) -> Self {
        .acted(token: token, isValid: false, accepted: accepted)
    }
}

extension [HistoryEntry<LockAction>] {
    /// The same history in another order of recording: process by process, as logs are put together.
    func shuffledInTime() -> Self {
        enumerated().sorted { ($0.element.process, $0.offset) < ($1.element.process, $1.offset) }.map(\.element)
    }
}
