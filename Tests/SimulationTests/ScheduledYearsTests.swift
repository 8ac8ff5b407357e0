import Simulations
import Testing
import ZooKeeperSimulator

@Suite(.timeLimit(.minutes(10)))
struct ScheduledYearsTests {
    @Test func `ten years have one completed run a day, and each further attempt is explained`() async throws {
        let years = try await onSimulationThread { try ScheduledYears(seed: 1, years: 10) }
        #expect(years.failures == [])
        #expect(years.days >= 3600)
        #expect(years.crashes > 500)
        #expect(years.repeated >= years.crashes / 2)
        #expect(years.moved == 10)
    }
}
