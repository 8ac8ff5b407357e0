import Testing
import ZooKeeperSimulator

@Suite struct OncePerPeriodCheckerTests {
    private static let checker = OncePerPeriodChecker(periods: ["mon", "tue"])

    @Test func `an empty history breaks nothing where nothing is expected`() {
        #expect(OncePerPeriodChecker(periods: []).violations(in: []).isEmpty)
    }

    @Test func `claims that failed and one that did not are accepted`() {
        let good: [Deed<PeriodAction>] = [
            (1, "a", .claimed(period: "mon", token: 10)), (2, "a", .crashed),
            (3, "b", .claimed(period: "mon", token: 20)),
            // Frozen: it learns of its loss after the next one's claim.
            (4, "c", .claimed(period: "mon", token: 30)), (5, "b", .lost(period: "mon", token: 20)),
            (6, "c", .skipped(period: "mon", reason: "shutting down")), (7, "d", .claimed(period: "mon", token: 40)),
            (8, "d", .completed(period: "mon", token: 40)), (9, "b", .skipped(period: "mon", reason: "done")),
            // A claim of the next period may have the same token: one term for several periods.
            (20, "d", .claimed(period: "tue", token: 40)), (21, "d", .completed(period: "tue", token: 40)),
            (22, "d", .crashed), (30, "e", .skipped(period: "wed", reason: "holiday")),
        ]
        #expect(Self.checker.violations(in: history(good)) == [])
    }

    /// What happens on Tuesday, in bugs of Monday.
    private static let tuesday: [Deed<PeriodAction>] = [
        (100, "t", .claimed(period: "tue", token: 100)), (101, "t", .completed(period: "tue", token: 100)),
    ]

    static let bugs: [Planted<PeriodAction>] = [
        Planted(
            "completion recorded after the claim was given back", breaks: OncePerPeriodChecker.reattempt,
            OncePerPeriodChecker.completion,
            in: [
                (1, "a", .claimed(period: "mon", token: 10)), (2, "a", .completed(period: "mon", token: 10)),
                (3, "b", .claimed(period: "mon", token: 20)), (4, "b", .completed(period: "mon", token: 20)),
            ] + tuesday),
        Planted(
            "period missed while the leader changed", breaks: OncePerPeriodChecker.completion,
            in: [
                (1, "a", .claimed(period: "mon", token: 10)), (2, "a", .crashed),
                (3, "b", .skipped(period: "mon", reason: "claimed by a")),
            ] + tuesday),
        Planted(
            "late claimant's completion is taken", breaks: OncePerPeriodChecker.claimant,
            in: [
                (1, "a", .claimed(period: "mon", token: 10)), (2, "b", .claimed(period: "mon", token: 20)),
                (3, "a", .lost(period: "mon", token: 10)), (4, "a", .completed(period: "mon", token: 10)),
            ] + tuesday),
        Planted(
            "second claim with the token of a node made before", breaks: OncePerPeriodChecker.growth,
            in: [
                (1, "a", .claimed(period: "mon", token: 20)), (2, "a", .lost(period: "mon", token: 20)),
                (3, "b", .claimed(period: "mon", token: 10)), (4, "b", .completed(period: "mon", token: 10)),
            ] + tuesday),
        Planted(
            "claim is not atomic: two start", breaks: OncePerPeriodChecker.reattempt,
            in: [
                (1, "a", .claimed(period: "mon", token: 10)), (2, "b", .claimed(period: "mon", token: 20)),
                (3, "b", .completed(period: "mon", token: 20)),
            ] + tuesday),
        Planted(
            "mark of completion dies with its node: claimed again", breaks: OncePerPeriodChecker.reattempt,
            in: [
                (1, "a", .claimed(period: "mon", token: 10)), (2, "a", .completed(period: "mon", token: 10)),
                (3, "a", .crashed), (4, "b", .claimed(period: "mon", token: 20)), (5, "b", .crashed),
            ] + tuesday),
        Planted(
            "node's clock runs ahead: tomorrow is run today", breaks: OncePerPeriodChecker.unexpected,
            in: [
                (1, "a", .claimed(period: "mon", token: 10)), (2, "a", .completed(period: "mon", token: 10)),
                (3, "a", .claimed(period: "wed", token: 20)), (4, "a", .completed(period: "wed", token: 20)),
            ] + tuesday),
        Planted(
            "run without a claim", breaks: OncePerPeriodChecker.claimant,
            in: [(1, "a", .completed(period: "mon", token: 10))] + tuesday),
    ]

    @Test(arguments: bugs) func `a bug in the schedule is found`(planted: Planted<PeriodAction>) {
        planted.expectRejection(by: Self.checker)
    }

    @Test func `a missed period tells why it was skipped`() {
        let deeds: [Deed<PeriodAction>] = [(1, "a", .skipped(period: "mon", reason: "too late"))]
        #expect(
            OncePerPeriodChecker(periods: ["mon"]).violations(in: history(deeds)).map(\.detail) == [
                "mon was completed 0 times; skipped by a: too late"
            ])
    }
}
