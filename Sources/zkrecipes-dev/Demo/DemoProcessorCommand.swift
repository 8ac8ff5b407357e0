import ArgumentParser
import CommandLineSupport
import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes

/// The process of one processor of the demo.
struct DemoProcessorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-processor", abstract: "Runs a processor of the demo.", shouldDisplay: false)

    @OptionGroup var connection: ConnectionOptions
    @Option var name = "processor"
    @Option var rate = 1000
    /// The path of the log of events.
    @Option var events: String
    @Option var base = "/zkrecipes-demo"
    @Option var resumeDelay = DurationArgument.seconds(5)
    /// The path of the file for errors and log lines.
    @Option var errors: String?

    func run() async throws {
        if let errors { Output.redirectErrors(to: errors) }
        let client = try ZooKeeperClient(configuration: connection.clientConfiguration(), logger: .program)
        var configuration = ExclusiveMode.Configuration()
        configuration.resumeDelay = resumeDelay.duration
        let mode = try ExclusiveMode(client: client, path: base, configuration: configuration)
        let gate = mode.gate(id: name)
        let source = DemoEventSource(gate: gate, rate: rate, log: try EventLog(path: events))
        let services: [any Service] = [client, GateReporter(gate: gate), gate, source]
        var configurations = services.map { ServiceGroupConfiguration.ServiceConfiguration(service: $0) }
        configurations.append(
            .init(service: ProgramSignals.shared.service(), successTerminationBehavior: .gracefullyShutdownGroup))
        let group = ServiceGroup(configuration: .init(services: configurations, logger: .program))
        try await withLogger(.program) { _ in try await group.run() }
    }
}

/// Reports the state of the gate to the demo, one line per change.
private struct GateReporter: Service {
    let gate: EventGate

    func run() async {
        for await state in gate.states { Output.line(GateReport(state).line) }
    }
}

/// A line that reports the state of a gate to another process.
struct GateReport: Sendable, Equatable {
    var word: String
    /// The token of an open gate.
    var token: Int64?

    init(_ state: GateState) {
        switch state {
        case .open(let token): (word, self.token) = ("open", token.rawValue)
        case .lost: word = "lost"
        default: word = state.description
        }
    }

    init?(line: String) {
        let words = line.split(separator: " ")
        guard words.count >= 2, words[0] == "state" else { return nil }
        word = String(words[1])
        token = words.count > 2 ? Int64(words[2]) : nil
    }

    var line: String { "state \(word)" + (token.map { " \($0)" } ?? "") }
}
