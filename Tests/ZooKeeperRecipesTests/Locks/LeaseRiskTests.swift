import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct LeaseRiskTests {
    private let timeout: Duration = .seconds(12)

    private func instant(_ seconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
    }

    private func look(_ risk: inout LeaseRisk, at now: Int64, until: Int64, isConnected: Bool = true) -> Bool {
        risk.look(now: instant(now), validUntil: instant(until), timeout: timeout, isConnected: isConnected)
    }

    @Test func `with a connection and time left there is no risk`() {
        var risk = LeaseRisk()
        #expect(!look(&risk, at: 0, until: 10))
        #expect(!look(&risk, at: 8, until: 10))
    }

    @Test func `too little time left is a risk, until a proof moves the deadline`() {
        var risk = LeaseRisk()
        #expect(look(&risk, at: 9, until: 10))
        #expect(look(&risk, at: 9, until: 10))
        #expect(!look(&risk, at: 9, until: 14))
    }

    @Test func `a lost connection is a risk, and a new one that has proved nothing remains one`() {
        var risk = LeaseRisk()
        #expect(look(&risk, at: 1, until: 10, isConnected: false))
        #expect(look(&risk, at: 2, until: 10))
        #expect(!look(&risk, at: 2, until: 11))
        #expect(!look(&risk, at: 3, until: 11))
    }

    @Test func `it looks again before the least time is left, and often while there is a risk`() {
        var risk = LeaseRisk()
        #expect(!look(&risk, at: 0, until: 10))
        #expect(risk.nextLook(now: instant(0), validUntil: instant(10), timeout: timeout) == instant(8))
        #expect(look(&risk, at: 9, until: 10))
        let next = risk.nextLook(now: instant(9), validUntil: instant(10), timeout: timeout)
        #expect(next == instant(9) + .milliseconds(600))
    }
}
