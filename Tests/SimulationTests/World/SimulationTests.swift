import Testing
import ZooKeeper
import ZooKeeperSimulator

@Suite struct SimulationTests {
    /// Three processes that sleep, wake one another's tasks and write to one list.
    private static func world(seed: UInt64) async throws -> (lines: [String], fingerprint: UInt64, steps: Int) {
        try await onSimulationThread {
            let simulation = Simulation(seed: seed, keepsTrace: true)
            for number in 1...3 {
                let process = SimulatedProcess("p\(number)", in: simulation, clockRate: number == 2 ? 1.02 : 1)
                process.freezesAtClockOnceIn = 5
                process.freezeSpan = .milliseconds(1) ... .milliseconds(100)
                let (clock, confined) = (SimulatedClock(process), Confined(process))
                process.start {
                    await withTaskGroup(of: Int.self) { group in
                        for child in 0..<4 {
                            group.addTask {
                                let pause = confined.value.simulation.chance.duration(.zero ... .milliseconds(50))
                                try? await clock.sleep(until: clock.now + pause)
                                return child
                            }
                        }
                        for await child in group { confined.value.simulation.note("child \(child) of \(number)") }
                    }
                }
            }
            simulation.run(until: MonotonicInstant(nanoseconds: 10_000_000_000))
            return (simulation.trace.lines, simulation.trace.fingerprint, simulation.steps)
        }
    }

    @Test(arguments: [1, 2, 3, 99] as [UInt64])
    func `the same seed gives the same world`(seed: UInt64) async throws {
        let (first, second) = try await (Self.world(seed: seed), Self.world(seed: seed))
        #expect(first.lines == second.lines)
        #expect(first.fingerprint == second.fingerprint)
        #expect(first.lines.count { $0.contains("child") } == 12)
    }

    @Test func `another seed gives another order`() async throws {
        var orders: Set<[String]> = []
        for seed in 1...20 as ClosedRange<UInt64> {
            orders.insert(try await Self.world(seed: seed).lines.map { String($0.drop { $0 != "c" }) })
        }
        #expect(orders.count > 15)
    }

    @Test func `a frozen process does nothing, and then everything it was kept from`() async throws {
        let counts = try await onSimulationThread {
            let simulation = Simulation(seed: 7)
            let process = SimulatedProcess("p", in: simulation)
            let (clock, ticks) = (SimulatedClock(process), Ticks())
            process.start {
                while !Task.isCancelled {
                    try? await clock.sleep(until: clock.now + .seconds(1))
                    ticks.note(clock.now)
                }
            }
            let origin = simulation.now
            simulation.run(until: origin + .milliseconds(2500))
            let before = ticks.all.count
            process.freeze()
            simulation.run(until: origin + .milliseconds(9500))
            let during = ticks.all.count
            process.thaw()
            simulation.run(until: origin + .milliseconds(9600))
            let after = ticks.all.count
            process.cancel()
            simulation.run(until: origin + .seconds(20))
            return [before, during, after, process.isRunning ? 1 : 0]
        }
        #expect(counts == [2, 2, 3, 0])
    }

    @Test func `a clock that is read may show that the process stood still, and others have gone on`() async throws {
        let (mine, others) = try await onSimulationThread {
            let simulation = Simulation(seed: 3)
            let frozen = SimulatedProcess("frozen", in: simulation)
            let other = SimulatedProcess("other", in: simulation)
            frozen.freezesAtClockOnceIn = 1
            frozen.freezeSpan = .seconds(5) ... .seconds(5)
            let (clock, otherClock) = (SimulatedClock(frozen), SimulatedClock(other))
            let (read, ticks) = (Ticks(), Ticks())
            frozen.start { read.note(clock.now) }
            other.start {
                for _ in 0..<10 {
                    try? await otherClock.sleep(until: otherClock.now + .seconds(1))
                    ticks.note(otherClock.now)
                }
            }
            simulation.run(until: simulation.now + .milliseconds(1))
            return (read.all, ticks.all)
        }
        #expect(mine.count == 1)
        #expect(mine.allSatisfy { $0 >= MonotonicInstant(nanoseconds: 5_000_000_000) })
        #expect(others.count >= 4)
    }

    @Test func `a killed process does nothing any more, and is buried with all its tasks`() async throws {
        let (count, isRunning) = try await onSimulationThread {
            let simulation = Simulation(seed: 5)
            let process = SimulatedProcess("p", in: simulation)
            let (clock, ticks) = (SimulatedClock(process), Ticks())
            process.start {
                while !Task.isCancelled {
                    try? await clock.sleep(until: clock.now + .seconds(1))
                    ticks.note(clock.now)
                }
            }
            simulation.run(until: simulation.now + .milliseconds(1500))
            process.kill()
            process.thaw()
            simulation.run(until: simulation.now + .seconds(10))
            let count = ticks.all.count
            process.bury()
            simulation.run(until: simulation.now + .seconds(10))
            return (count, process.isRunning)
        }
        #expect(count == 1)
        #expect(!isRunning)
    }

    @Test func `a world in which time stands still is told of`() async throws {
        let breakdown = try await onSimulationThread {
            let simulation = Simulation(seed: 1)
            func again() { simulation.after(.zero) { again() } }
            again()
            simulation.run(until: simulation.now + .seconds(1))
            return simulation.breakdown
        }
        #expect(breakdown != nil)
    }

    @Test func `other threads' tasks run where they always do`() async throws {
        let value = try await onSimulationThread {
            let simulation = Simulation(seed: 1)
            simulation.run(until: simulation.now + .seconds(1))
            return simulation.steps
        }
        let sum = await withTaskGroup(of: Int.self) { group in
            for number in 1...10 { group.addTask { number } }
            return await group.reduce(value, +)
        }
        #expect(sum == 55)
    }
}

/// Instants that somebody noted.
final class Ticks: Sendable {
    private let stored = Broadcast<[MonotonicInstant]>([])
    var all: [MonotonicInstant] { stored.current }
    func note(_ instant: MonotonicInstant) { stored.send(stored.current + [instant]) }
}

extension SimulationTests {
    @Test func `a task that never suspends is told of, when it heeds its cancellation`() async throws {
        let breakdown = try await onSimulationThread {
            let simulation = Simulation(seed: 1)
            let process = SimulatedProcess("p", in: simulation)
            let clock = SimulatedClock(process)
            process.start { while !Task.isCancelled { _ = clock.now } }
            simulation.run(until: simulation.now + .seconds(1))
            return simulation.breakdown
        }
        #expect(breakdown != nil)
    }
}
