import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// The process of one window of the demo.
struct DemoOperatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo-operator", abstract: "Opens a window of the demo.", shouldDisplay: false)

    @OptionGroup var connection: ConnectionOptions
    @Option var reason = "demo"
    @Option var taskDuration = DurationArgument.seconds(2)
    /// The path of the window's log.
    @Option var log: String
    @Option var base = "/zkrecipes-demo"
    @Option var errors: String?

    func run() async throws {
        if let errors { Output.redirectErrors(to: errors) }
        let (base, reason, time) = (base, reason, taskDuration.duration)
        let log = Shared(try WindowLog(path: log))
        do {
            try await runProgram(with: connection) { client in
                let mode = try ExclusiveMode(client: client, path: base)
                log.value.append(.asked(at: EventRecord.now))
                try await mode.withWindow(reason: reason) { window in
                    log.value.append(
                        .open(
                            at: EventRecord.now, token: window.fencingToken.rawValue,
                            drained: window.drainDuration.nanoseconds))
                    defer { log.value.append(.closed(at: EventRecord.now)) }
                    try await Task.sleep(for: time)
                }
            }
        } catch {
            log.value.append(.failed("\(error)"))
            throw ExitCode.failure
        }
    }
}

/// A noncopyable value that several closures share.
private final class Shared<Value: ~Copyable & Sendable>: Sendable {
    let value: Value

    init(_ value: consuming Value) { self.value = value }
}
