import Testing

@testable import ZooKeeper

@Suite
struct BackoffTests {
    @Test func `pauses double up to the cap, shortened by up to half`() {
        for seed in 0..<200 as Range<UInt64> {
            var backoff = Backoff(Backoff.Policy(initial: .milliseconds(50), limit: .seconds(2)), seed: seed)
            for full in [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000] {
                let pause = backoff.pause()
                #expect(pause <= .milliseconds(full))
                #expect(pause >= .milliseconds(full) / 2)
            }
        }
    }

    @Test func `many clients do not pause alike`() {
        var pauses: Set<Duration> = []
        let randomness = Randomness()
        for _ in 0..<100 {
            var backoff = Backoff(Backoff.Policy(initial: .seconds(1), limit: .seconds(1)), seed: randomness.next())
            pauses.insert(backoff.pause())
        }
        #expect(pauses.count > 90)
    }

    @Test func `after a reset it begins again`() {
        var backoff = Backoff(Backoff.Policy(initial: .milliseconds(50), limit: .seconds(2)), seed: 1)
        for _ in 0..<10 { _ = backoff.pause() }
        backoff.reset()
        #expect(backoff.pause() <= .milliseconds(50))
    }

    @Test func `a cap below the initial pause counts`() {
        var backoff = Backoff(Backoff.Policy(initial: .seconds(5), limit: .seconds(1)), seed: 1)
        for _ in 0..<5 { #expect(backoff.pause() <= .seconds(1)) }
    }

    @Test func `a thousand pauses with a huge cap stay below it`() {
        var backoff = Backoff(Backoff.Policy(initial: .seconds(1), limit: .seconds(Int64.max)), seed: 1)
        for _ in 0..<1000 { #expect(backoff.pause() <= .seconds(Int64.max)) }
    }
}
