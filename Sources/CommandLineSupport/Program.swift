package import Logging
package import ServiceLifecycle
import Synchronization
package import ZooKeeper

/// Runs an operation, after services that it needs, until it returns or a signal asks for the end.
///
/// A signal (see ``ProgramSignals``) cancels the operation; the services are stopped after it has ended.
///
/// - Throws: `CancellationError` after a signal; else the error of the operation or of a service.
package func runProgram<Result: Sendable>(
    after services: [any Service] = [], logger: Logger = .program,
    operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    let main = MainService(operation: operation)
    var configurations = services.map { ServiceGroupConfiguration.ServiceConfiguration(service: $0) }
    configurations.append(
        .init(service: ProgramSignals.shared.service(), successTerminationBehavior: .gracefullyShutdownGroup))
    configurations.append(
        .init(
            service: main, successTerminationBehavior: .gracefullyShutdownGroup,
            failureTerminationBehavior: .gracefullyShutdownGroup))
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .error)
    let group = ServiceGroup(configuration: .init(services: configurations, logger: quiet))
    do {
        // Recipes that are given no logger take this one, with its level.
        try await withLogger(logger) { _ in try await group.run() }
    } catch {
        // What the operation says about itself is nearer to the cause.
        throw main.failure ?? error
    }
    return try main.result()
}

/// Runs an operation with a client that is connected, as ``runProgram(after:logger:operation:)`` does.
package func runProgram<Result: Sendable>(
    with options: ConnectionOptions,
    operation: @escaping @Sendable (ZooKeeperClient) async throws -> Result
) async throws -> Result {
    programLogLevel.withLock { $0 = options.logLevel }
    return try await runProgram(at: options.endpoint) { client in
        try await alongside({ await reportOutages(of: client) }) { try await operation(client) }
    }
}

/// Reports on standard error when the connection has been lost for two seconds, and when it is back.
private func reportOutages(of client: ZooKeeperClient) async {
    let clock = SystemMonotonicClock()
    var isReported = false
    for await state in client.states where !state.isClosed {
        if state.isConnected {
            if isReported { Output.note("zkrecipes: connected again") }
            isReported = false
        } else if !isReported {
            let isBack: Void? = try? await clock.run(until: clock.now + .seconds(2)) {
                for await state in client.states where state.isConnected || state.isClosed { break }
            }
            guard isBack == nil, !Task.isCancelled else { continue }
            Output.note("zkrecipes: the connection is lost, and no server answers; trying again")
            isReported = true
        }
    }
}

/// Runs an operation with a client that is connected, as ``runProgram(after:logger:operation:)`` does.
package func runProgram<Result: Sendable>(
    at endpoint: Endpoint, operation: @escaping @Sendable (ZooKeeperClient) async throws -> Result
) async throws -> Result {
    let client = try ZooKeeperClient(configuration: endpoint.clientConfiguration(), logger: .program)
    return try await runProgram(after: [client]) {
        try await endpoint.awaitConnection(of: client)
        return try await operation(client)
    }
}

/// The part of a program that is not a service: it has a result.
private final class MainService<Result: Sendable>: Service {
    private let operation: @Sendable () async throws -> Result
    private let outcome = Mutex<Swift.Result<Result, any Error>?>(nil)

    init(operation: @escaping @Sendable () async throws -> Result) {
        self.operation = operation
    }

    func run() async throws {
        let operation = operation
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await cancelWhenGracefulShutdown(operation))
        } catch {
            result = .failure(error)
        }
        outcome.withLock { $0 = result }
        _ = try result.get()
    }

    var failure: (any Error)? {
        guard case .failure(let error) = outcome.withLock({ $0 }) else { return nil }
        return error
    }

    func result() throws -> Result {
        guard let outcome = outcome.withLock({ $0 }) else { throw CancellationError() }
        return try outcome.get()
    }
}

/// Something that did not come in time.
package struct Overdue: Error, CustomStringConvertible {
    package var description: String

    package init(description: String) { self.description = description }
}

/// Runs an operation and gives it up after a time.
///
/// - Throws: ``Overdue``, saying that it is not what it should be; the error of the operation.
package func within<Result: Sendable>(
    _ limit: Duration, _ what: String, operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    let clock = SystemMonotonicClock()
    guard let result = try await clock.run(until: clock.now + limit, operation) else {
        throw Overdue(description: "not \(what) within \(Text.seconds(limit))")
    }
    return result
}

/// The level of the program's log lines.
private let programLogLevel = Mutex(Logger.Level.warning)

extension Logger {
    /// The program's own: warnings and worse unless told otherwise, on standard error, so that standard output has
    /// results alone.
    package static var program: Logger {
        var logger = Logger(label: "zkrecipes") { StreamLogHandler(label: $0, stream: LogLines()) }
        logger.logLevel = programLogLevel.withLock { $0 }
        return logger
    }
}

/// Log lines on standard error, escaped.
private struct LogLines: TextOutputStream {
    func write(_ text: String) { Output.note(text.hasSuffix("\n") ? String(text.dropLast()) : text) }
}
