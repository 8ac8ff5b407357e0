import Simulations
import Testing
import ZooKeeperSimulator

@Suite(.timeLimit(.minutes(10)))
struct ScheduledYearsTests {
    /// Ten years, two in each world, so that they are simulated side by side.
    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func `years have one completed run a day, and each further attempt is explained`(seed: UInt64) async throws {
        let years = try await onSimulationThread { try ScheduledYears(seed: seed, years: 2) }
        #expect(years.failures == [])
        #expect(years.days >= 720)
        #expect(years.crashes > 90)
        #expect(years.repeated >= years.crashes / 2)
        #expect(years.moved == 2)
    }
}
