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

@Suite struct LostWritesTests {
    @Test func `a write of some size that loses its connection three times in a row counts as refused`() {
        var writes = LostWrites(seed: 1)
        #expect(writes.record(size: 100_000, path: "/a") == nil)
        #expect(writes.record(size: 100_000, path: "/a") == nil)
        let error = writes.record(size: 100_000, path: "/a")
        #expect(error?.code == .dataTooLarge && error?.path == "/a")
        #expect(error?.description.contains("jute.maxbuffer") == true)
        writes.reset()
        #expect(writes.record(size: 100_000, path: "/a") == nil)
    }

    @Test func `a small write is not at fault`() {
        var writes = LostWrites(seed: 1)
        for _ in 0..<10 { #expect(writes.record(size: 100, path: "/a") == nil) }
    }

    private func pauses(size: Int) -> [Duration] {
        var writes = LostWrites(seed: 1)
        return (0..<15).map { _ in
            _ = writes.record(size: size, path: "/a")
            return writes.pause()
        }
    }

    @Test func `pauses grow up to five seconds, and up to a minute for a write that is probably too large`() {
        for (size, longest) in [(10, Duration.seconds(5)), (100_000, .seconds(60))] {
            let pauses = pauses(size: size)
            #expect(pauses[0] <= .milliseconds(200))
            #expect(pauses[14] >= longest / 2 && pauses[14] <= longest)
        }
    }
}
