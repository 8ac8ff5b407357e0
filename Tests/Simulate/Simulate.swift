import ArgumentParser
import Simulations
import Synchronization
import ZooKeeperSimulator

/// Runs schedules of the scenarios; for `make simulate` and `make mutants`.
@main
struct Simulate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the recipes in simulated worlds, one for each seed, and checks what they did.")

    @Option(help: "Only this scenario: \(allScenarios.map { $0.name }.joined(separator: ", ")).")
    var scenario: String?
    @Option(help: "How many seeds each scenario is run with.")
    var seeds: Int = 1000
    @Option(help: "The first seed.")
    var first: UInt64 = 1
    @Option(help: "One seed, with everything that happens in its world.")
    var seed: UInt64?
    @Option(help: "How many schedules run at a time, each on a thread of its own.")
    var threads: Int = 1
    @Option(help: "In place of scenarios: so many years of a daily task on five nodes.")
    var years: Int?
    @Flag(help: "Stop after the first failure, without its trace.")
    var untilFailure = false

    func validate() throws {
        if let scenario, !allScenarios.contains(where: { $0.name == scenario }) {
            throw ValidationError(
                "there is no scenario \(scenario); there are \(allScenarios.map { $0.name }.joined(separator: ", "))")
        }
        guard seeds > 0, threads > 0, years ?? 1 > 0 else {
            throw ValidationError("seeds, threads and years are at least 1")
        }
    }

    func run() async throws {
        if let years { return try await show(years: years, seed: seed ?? first) }
        let chosen = allScenarios.filter { scenario == nil || $0.name == scenario }
        if let seed {
            for scenario in chosen { try await show(scenario, seed: seed) }
            return
        }
        var failed = 0
        for scenario in chosen {
            failed += try await run(scenario)
            if untilFailure, failed > 0 { break }
        }
        if failed > 0 { throw ExitCode.failure }
    }

    private func show(years: Int, seed: UInt64) async throws {
        let outcome = try await onSimulationThread { try ScheduledYears(seed: seed, years: years) }
        for failure in outcome.failures { print("FAILURE \(failure)") }
        print(
            "\(years) years with seed \(seed): \(outcome.days) days, \(outcome.crashes) crashes of runners, "
                + "\(outcome.repeated) days with further attempts, \(outcome.moved) moved by daylight saving, "
                + "\(outcome.failures.count) failures, \(outcome.steps) steps")
        if !outcome.failures.isEmpty { throw ExitCode.failure }
    }

    /// One schedule with its trace.
    private func show(_ scenario: any Scenario.Type, seed: UInt64) async throws {
        let schedule = try await onSimulationThread { Schedule.run(scenario, seed: seed, keepsTrace: true) }
        for line in schedule.trace { print(line) }
        for failure in schedule.failures { print("FAILURE \(failure)") }
        print("\(scenario.name) with seed \(seed): \(schedule.failures.count) failures, \(schedule.steps) steps")
        if !schedule.failures.isEmpty { throw ExitCode.failure }
    }

    /// Gives the number of schedules that failed.
    private func run(_ scenario: any Scenario.Type) async throws -> Int {
        let batch = Batch(scenario, first: first, count: seeds, stopsAtFailure: untilFailure)
        let time = try await ContinuousClock().measure {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<threads { group.addTask { try await onSimulationThread { batch.work() } } }
                try await group.waitForAll()
            }
        }
        let (done, steps, failures) = batch.outcome
        let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
        print(
            "\(scenario.name): \(done) schedules in \(oneDigit(seconds)) s, \(Int(Double(done) / seconds)) a second, "
                + "\(steps / max(done, 1)) steps each, \(failures.count) failed")
        for failure in failures.prefix(3) {
            print(failure.report)
            if !untilFailure { try? await show(scenario, seed: failure.seed) }
        }
        for failure in failures.dropFirst(3).prefix(20) { print("also seed \(failure.seed): \(failure.failures[0])") }
        if untilFailure, let first = failures.first {
            print("FOUND \(scenario.name) \(first.seed - self.first + 1)")
        }
        return failures.count
    }

    private func oneDigit(_ number: Double) -> String {
        "\((number * 10).rounded() / 10)"
    }
}

/// The seeds of one scenario, handed out to threads one after the other.
private final class Batch: Sendable {
    private struct State {
        var next: UInt64
        var end: UInt64
        var done = 0
        var steps = 0
        var failures: [Schedule] = []
    }

    private let scenario: any Scenario.Type
    private let stopsAtFailure: Bool
    private let state: Mutex<State>

    init(_ scenario: any Scenario.Type, first: UInt64, count: Int, stopsAtFailure: Bool) {
        self.scenario = scenario
        self.stopsAtFailure = stopsAtFailure
        state = Mutex(State(next: first, end: first + UInt64(count)))
    }

    var outcome: (done: Int, steps: Int, failures: [Schedule]) {
        state.withLock { ($0.done, $0.steps, $0.failures.sorted { $0.seed < $1.seed }) }
    }

    func work() {
        while let seed = state.withLock({ takeSeed(&$0) }) {
            let schedule = Schedule.run(scenario, seed: seed)
            state.withLock { state in
                state.done += 1
                state.steps += schedule.steps
                if !schedule.failures.isEmpty { state.failures.append(schedule) }
            }
        }
    }

    private func takeSeed(_ state: inout State) -> UInt64? {
        guard state.next < state.end, !stopsAtFailure || state.failures.isEmpty else { return nil }
        defer { state.next += 1 }
        return state.next
    }
}
