import Testing
import ZooKeeperSimulator

@Suite struct ExclusiveModeCheckerTests {
    private static let rules = ExclusiveModeChecker.rules

    @Test func `an empty history breaks nothing`() {
        #expect(ExclusiveModeChecker().violations(in: []).isEmpty)
    }

    @Test func `events around windows are accepted, with all that may befall them`() {
        let good: [Deed<ExclusiveAction>] = [
            (1, "a", .eventEntered(id: 1, token: 10)), (1, "b", .eventEntered(id: 1, token: 11)),
            (2, "b", .event(1, accepted: true)), (2, "a", .event(1, accepted: true)),
            (3, "a", .eventEntered(id: 2, token: 10)), (4, "a", .event(2)), (5, "a", .eventLeft(id: 1)),
            (5, "b", .eventLeft(id: 1)), (6, "b", .eventEntered(id: 2, token: 11)), (6, "b", .event(2)),
            // a's event 2 is frozen in its middle, b's entered and froze.
            (10, "op", .windowBegan(token: 20)), (10, "op", .window(20, accepted: true)), (12, "op", .window(20)),
            (13, "a", .lateEvent(2, accepted: false)), (13, "a", .eventLeft(id: 2)),
            (14, "b", .eventEntered(id: 3, token: 11)), (14, "b", .lateEvent(3)), (14, "b", .eventLeft(id: 3)),
            (15, "op", .window(20, accepted: true)), (16, "op", .windowEnded(token: 20)),
            (17, "a", .eventEntered(id: 4, token: 30)), (17, "a", .event(4, accepted: true)),
            (18, "b", .eventEntered(id: 4, token: 31)), (18, "b", .event(4, accepted: true)),
            (19, "a", .eventLeft(id: 4)), (19, "b", .eventLeft(id: 4)),
            // A window that slept into the next one's stream.
            (20, "op", .windowBegan(token: 40)), (20, "op", .window(40, accepted: true)),
            (21, "op2", .windowBegan(token: 50)), (21, "op2", .window(50, accepted: true)),
            (22, "op", .windowActed(token: 40, isValid: false, accepted: false)), (23, "op2", .windowEnded(token: 50)),
            // Somebody deletes a processor's node: its events may meet the window, its late ones too.
            (30, "a", .eventEntered(id: 5, token: 60)), (30, "a", .event(5)), (31, "vandal", .disturbed(token: 60)),
            (32, "op", .windowBegan(token: 70)), (32, "op", .window(70)), (33, "a", .event(5)),
            (33, "a", .lateEvent(5, accepted: true)), (34, "op", .window(70, accepted: true)),
            (35, "op", .windowEnded(token: 70)),
            // An event of a gate that was open when the hold began, and one after the hold.
            (40, "ensemble", .heldSince(80)), (41, "b", .eventEntered(id: 6, token: 75)), (41, "b", .event(6)),
            (42, "b", .eventLeft(id: 6)), (43, "ensemble", .heldSince(nil)),
            (44, "b", .eventEntered(id: 7, token: 85)), (44, "b", .eventLeft(id: 7)),
        ]
        #expect(ExclusiveModeChecker().violations(in: history(good)) == [])
    }

    static let bugs: [Planted<ExclusiveAction>] = [
        Planted(
            "signal looked at before the create", breaks: rules.sharedOverlap,
            in: [
                (1, "op", .windowBegan(token: 20)), (2, "op", .window(20)), (3, "a", .eventEntered(id: 1, token: 30)),
                (3, "a", .event(1)), (4, "op", .window(20)), (5, "op", .windowEnded(token: 20)),
            ]),
        Planted(
            "gate opens during a hold", breaks: ExclusiveModeChecker.hold,
            in: [
                (1, "ensemble", .heldSince(20)), (2, "a", .eventEntered(id: 1, token: 30)), (2, "a", .event(1)),
                (3, "a", .eventLeft(id: 1)), (4, "ensemble", .heldSince(nil)),
            ]),
        Planted(
            "window does not wait for the events in flight", breaks: rules.sharedOverlap,
            in: [
                (1, "a", .eventEntered(id: 1, token: 10)), (2, "a", .event(1)), (3, "op", .windowBegan(token: 20)),
                (4, "op", .window(20)), (5, "op", .windowEnded(token: 20)), (6, "a", .event(1)),
            ]),
        Planted(
            "event goes on after its deadline and its write is accepted", breaks: ExclusiveModeChecker.effect,
            in: [
                (1, "a", .eventEntered(id: 1, token: 10)), (2, "a", .event(1)), (3, "op", .windowBegan(token: 20)),
                (4, "op", .window(20)), (5, "a", .lateEvent(1, accepted: true)), (6, "op", .window(20)),
            ]),
        Planted(
            "store does not look at tokens", breaks: rules.fencing, ExclusiveModeChecker.effect,
            in: [
                (1, "a", .eventEntered(id: 1, token: 10)), (2, "a", .event(1)), (3, "op", .windowBegan(token: 20)),
                (4, "op", .window(20, accepted: true)), (5, "a", .lateEvent(1, accepted: true)),
                (6, "op", .window(20, accepted: true)),
            ]),
        Planted(
            "event that slept through the window writes after it", breaks: rules.fencing,
            in: [
                (1, "a", .eventEntered(id: 1, token: 10)), (3, "op", .windowBegan(token: 20)),
                (4, "op", .window(20, accepted: true)), (5, "op", .windowEnded(token: 20)),
                (6, "a", .lateEvent(1, accepted: true)),
            ]),
        Planted(
            "deadline counted from the receive time: the window's write comes first", breaks: rules.refusal,
            in: [
                (1, "a", .eventEntered(id: 1, token: 10)), (3, "op", .windowBegan(token: 20)),
                (4, "op", .window(20, accepted: true)), (5, "a", .event(1, accepted: false)),
                (6, "op", .window(20, accepted: true)),
            ]),
        Planted(
            "gate opens again on its old read node", breaks: rules.growth,
            in: [
                (1, "op", .windowBegan(token: 20)), (2, "op", .window(20)), (3, "op", .windowEnded(token: 20)),
                (4, "a", .eventEntered(id: 1, token: 10)), (5, "a", .event(1)),
            ]),
        Planted(
            "window's token is its predecessor's", breaks: rules.growth,
            in: [
                (1, "a", .eventEntered(id: 1, token: 30)), (2, "a", .event(1)), (3, "a", .eventLeft(id: 1)),
                (4, "op", .windowBegan(token: 20)), (5, "op", .window(20)),
            ]),
        Planted(
            "signal of an own earlier session taken over", breaks: rules.overlap,
            in: [
                (1, "op", .windowBegan(token: 20)), (2, "op", .window(20)), (3, "op2", .windowBegan(token: 30)),
                (4, "op2", .window(30)), (5, "op", .window(20)),
            ]),
        Planted(
            "no delay after a crashed window: its batch still writes", breaks: rules.sharedOverlap,
            in: [
                (1, "op", .windowBegan(token: 20)), (2, "op", .window(20)), (3, "a", .eventEntered(id: 1, token: 30)),
                (4, "a", .event(1)), (5, "op", .window(20)), (6, "a", .eventLeft(id: 1)),
            ]),
        Planted(
            "permit stays valid after leaving", breaks: rules.afterEnd,
            in: [(1, "a", .eventEntered(id: 1, token: 10)), (2, "a", .eventLeft(id: 1)), (3, "a", .event(1))]),
        Planted(
            "two processors have one token", breaks: rules.oneGrant,
            in: [(1, "a", .eventEntered(id: 1, token: 10)), (2, "b", .eventEntered(id: 1, token: 10))]),
        Planted(
            "work goes by the gate", breaks: rules.beginning,
            in: [(1, "a", .event(1))]),
    ]

    /// Judged with a bound of 100 ms.
    static let delays: [Planted<ExclusiveAction>] = [
        Planted(
            "gate that drains ignores the end of the signal", breaks: ExclusiveModeChecker.admission,
            in: [
                (0, "world", .settled), (1, "op", .windowWanted(true)), (2, "a", .eventAsked(id: 1)),
                (500, "op", .windowWanted(false)), (601, "a", .eventEntered(id: 1, token: 10)),
            ]),
        Planted(
            "gate stays shut to the end", breaks: ExclusiveModeChecker.admission,
            in: [(1, "a", .eventAsked(id: 1)), (2, "world", .settled), (103, "world", .ending)]),
        Planted(
            "gate stays shut until the next window", breaks: ExclusiveModeChecker.admission,
            in: [
                (0, "world", .settled), (1, "a", .eventAsked(id: 1)), (200, "op", .windowWanted(true)),
                (210, "a", .eventGaveUp(id: 1)),
            ]),
    ]

    @Test(arguments: delays) func `an event that waits for nobody is found`(planted: Planted<ExclusiveAction>) {
        planted.expectRejection(by: ExclusiveModeChecker(admissionWithin: .milliseconds(100)))
    }

    @Test func `events may wait for windows, for what strikes, and for a while`() {
        let good: [Deed<ExclusiveAction>] = [
            // Before the world has settled, and in a process that is killed.
            (0, "a", .eventAsked(id: 1)), (0, "b", .eventAsked(id: 1)), (500, "world", .settled),
            (590, "a", .eventEntered(id: 1, token: 10)), (591, "b", .died),
            // One window after the other.
            (600, "a", .eventAsked(id: 2)), (690, "op", .windowWanted(true)), (900, "op", .windowWanted(false)),
            (990, "op", .windowWanted(true)), (1200, "op", .windowWanted(false)),
            (1299, "a", .eventEntered(id: 2, token: 10)), (1300, "a", .eventGaveUp(id: 2)),
            (1310, "a", .eventAsked(id: 3)), (1320, "world", .ending), (2000, "a", .eventGaveUp(id: 3)),
        ]
        #expect(ExclusiveModeChecker(admissionWithin: .milliseconds(100)).violations(in: history(good)) == [])
    }

    /// Judged with a resume delay of 100 ms.
    static let hasty: [Planted<ExclusiveAction>] = [
        Planted(
            "gate does not wait after a crashed window", breaks: ExclusiveModeChecker.resumption,
            in: [(1, "op", .windowCrashed(token: 20)), (100, "a", .eventEntered(id: 1, token: 30))]),
        Planted(
            "window does not wait after a crashed one", breaks: ExclusiveModeChecker.resumption,
            in: [(1, "op", .windowCrashed(token: 20)), (100, "op2", .windowBegan(token: 30))]),
        Planted(
            "second window lets a gate forget the crashed one", breaks: ExclusiveModeChecker.resumption,
            in: [
                (1, "op", .windowCrashed(token: 20)), (10, "op2", .windowWanted(true)),
                (20, "op2", .windowWanted(false)),
                (50, "a", .eventEntered(id: 1, token: 40)),
            ]),
    ]

    @Test(arguments: hasty) func `what begins too early after a crash is found`(planted: Planted<ExclusiveAction>) {
        planted.expectRejection(by: ExclusiveModeChecker(resumeDelay: .milliseconds(100)))
    }

    @Test func `after a crash older places go on at once and later ones after the delay`() {
        let good: [Deed<ExclusiveAction>] = [
            (1, "op", .windowCrashed(token: 20)), (2, "a", .eventEntered(id: 1, token: 10)),
            (101, "b", .eventEntered(id: 1, token: 30)), (102, "op2", .windowBegan(token: 40)),
        ]
        #expect(ExclusiveModeChecker(resumeDelay: .milliseconds(100)).violations(in: history(good)) == [])
    }

    @Test(arguments: bugs) func `a bug in exclusive mode is found`(planted: Planted<ExclusiveAction>) {
        planted.expectRejection(by: ExclusiveModeChecker())
    }
}

extension ExclusiveAction {
    static func event(_ id: Int, accepted: Bool? = nil) -> Self {
        .eventActed(id: id, isValid: true, accepted: accepted)
    }

    static func lateEvent(_ id: Int, accepted: Bool? = nil) -> Self {
        .eventActed(id: id, isValid: false, accepted: accepted)
    }

    static func window(_ token: Int64, accepted: Bool? = nil) -> Self {
        .windowActed(token: token, isValid: true, accepted: accepted)
    }
}
