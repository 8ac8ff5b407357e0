import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct RepairPacingTests {
    @Test func `the first repairs are immediate, further ones wait longer and longer`() {
        var pacing = RepairPacing(seed: 1)
        var now = MonotonicInstant(nanoseconds: 0)
        var pauses: [Duration] = []
        for _ in 0..<12 {
            let start = now
            while let due = pacing.start(now: now) { now = due }
            pauses.append(now - start)
        }
        #expect(pauses.prefix(3).allSatisfy { $0 == .zero })
        #expect(pauses.dropFirst(3).allSatisfy { $0 > .zero && $0 <= .seconds(5) })
        #expect(pauses[11] > .seconds(1))
    }

    @Test func `after a calm time repairs are immediate again`() {
        var pacing = RepairPacing(seed: 1)
        var now = MonotonicInstant(nanoseconds: 0)
        for _ in 0..<6 {
            while let due = pacing.start(now: now) { now = due }
        }
        now = now + .seconds(6)
        #expect(pacing.start(now: now) == nil)
    }
}
