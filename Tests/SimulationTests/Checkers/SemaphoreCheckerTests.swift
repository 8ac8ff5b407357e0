import Testing
import ZooKeeperSimulator

@Suite struct SemaphoreCheckerTests {
    @Test func `leases up to the limit are accepted, with all that may befall them`() {
        let good: [Deed<SemaphoreAction>] = [
            (1, "a", .began(token: 10, count: 2)), (2, "a", .acted(token: 10, isValid: true)),
            (2, "b", .began(token: 20, count: 1)), (3, "b", .acted(token: 20, isValid: true)),
            (4, "a", .acted(token: 10, isValid: true)), (4, "a", .ended(token: 10)),
            // The next one comes at the instant after the last valid act.
            (5, "c", .began(token: 30, count: 2)), (5, "c", .acted(token: 30, isValid: true)),
            // One that knows that it is late, and one whose znode was deleted.
            (6, "a", .acted(token: 10, isValid: false)), (7, "vandal", .disturbed(token: 20)),
            (8, "d", .began(token: 40, count: 1)), (8, "d", .acted(token: 40, isValid: true)),
            (9, "b", .acted(token: 20, isValid: true)), (10, "c", .crashed),
            (11, "d", .acted(token: 40, isValid: true)),
        ]
        #expect(SemaphoreChecker(limit: 3).violations(in: history(good)) == [])
        #expect(SemaphoreChecker(limit: 3).violations(in: []) == [])
    }

    static let bugs: [Planted<SemaphoreAction>] = [
        Planted(
            "one lease too many", breaks: SemaphoreChecker.overLimit,
            in: [
                (1, "a", .began(token: 10, count: 2)), (1, "a", .acted(token: 10, isValid: true)),
                (2, "b", .began(token: 20, count: 2)), (2, "b", .acted(token: 20, isValid: true)),
                (3, "a", .acted(token: 10, isValid: true)),
            ]),
        Planted(
            "valid after the end", breaks: SemaphoreChecker.afterEnd,
            in: [
                (1, "a", .began(token: 10, count: 1)), (2, "a", .ended(token: 10)),
                (3, "a", .acted(token: 10, isValid: true)),
            ]),
        Planted(
            "valid after its process died", breaks: SemaphoreChecker.afterEnd,
            in: [
                (1, "a", .began(token: 10, count: 1)), (2, "a", .crashed), (3, "a", .acted(token: 10, isValid: true)),
            ]),
        Planted(
            "somebody else's grant", breaks: SemaphoreChecker.beginning,
            in: [(1, "a", .began(token: 10, count: 1)), (2, "b", .acted(token: 10, isValid: true))]),
    ]

    @Test(arguments: bugs) func `a bug is rejected`(_ bug: Planted<SemaphoreAction>) {
        bug.expectRejection(by: SemaphoreChecker(limit: 3))
    }
}
