package import Logging
package import Metrics
package import ServiceLifecycle
import Synchronization
package import ZooKeeper

/// Runs an operation and the services that it needs, until the operation returns or a signal ends the program.
///
/// A signal (see ``ProgramSignals``) cancels the operation. The services are stopped after the operation has ended.
///
/// - Throws: `CancellationError` after a signal; otherwise the error of the operation or of a service.
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
        // Recipes that are created without a logger use this one, with its level.
        try await withLogger(logger) { _ in try await group.run() }
    } catch {
        // The operation's own error is closer to the cause than the group's.
        throw main.failure ?? error
    }
    return try main.result()
}

/// Runs an operation with a connected client, as ``runProgram(after:logger:operation:)`` does.
///
/// - Parameters:
///   - options: The ensemble, the session and the log.
///   - metricsFactory: Receives the metrics of the client; `nil` discards them. Default: `nil`.
///   - readiness: Receives the condition that the client is connected.
///   - operation: Uses the client.
package func runProgram<Result: Sendable>(
    with options: ConnectionOptions, metricsFactory: (any MetricsFactory)? = nil,
    readiness: Readiness = Readiness(),
    operation: @escaping @Sendable (ZooKeeperClient) async throws -> Result
) async throws -> Result {
    options.log.apply()
    return try await runProgram(at: options.endpoint(), metricsFactory: metricsFactory, readiness: readiness) {
        client in
        try await alongside({ await reportOutages(of: client) }) { try await operation(client) }
    }
}

/// Reports on standard error if the connection has been lost for two seconds, and when it is restored.
private func reportOutages(of client: ZooKeeperClient) async {
    let clock = SystemMonotonicClock()
    var isReported = false
    for await state in client.states where !state.isClosed {
        if state.isConnected {
            if isReported { Output.notice("connected again") }
            isReported = false
        } else if !isReported {
            let isBack: Void? = try? await clock.run(until: clock.now + .seconds(2)) {
                for await state in client.states where state.isConnected || state.isClosed { break }
            }
            guard isBack == nil, !Task.isCancelled else { continue }
            Output.notice("the connection is lost, and no server answers; trying again")
            isReported = true
        }
    }
}

/// Runs an operation with a connected client, as ``runProgram(after:logger:operation:)`` does.
package func runProgram<Result: Sendable>(
    at endpoint: Endpoint, metricsFactory: (any MetricsFactory)? = nil, readiness: Readiness = Readiness(),
    operation: @escaping @Sendable (ZooKeeperClient) async throws -> Result
) async throws -> Result {
    let client = try ZooKeeperClient(
        configuration: endpoint.clientConfiguration(), logger: .program, metricsFactory: metricsFactory)
    readiness.require { client.isConnected ? nil : "there is no connection to the ensemble: \(client.state)" }
    let manager = ServiceManager.inherited
    // The watchdog comes first, so that it ends last.
    let services: [(any Service)?] = [manager?.watchdog(for: client), client]
    return try await runProgram(after: services.compactMap(\.self)) {
        try await endpoint.awaitConnection(of: client)
        guard let manager else { return try await operation(client) }
        return try await manager.reporting(client) { try await operation(client) }
    }
}

/// The main operation of a program, which has a result, as a service.
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

/// The error about an event that did not occur in time.
package struct Overdue: Error, CustomStringConvertible {
    package var description: String

    package init(description: String) { self.description = description }
}

/// Runs an operation with a timeout.
///
/// - Parameters:
///   - limit: The timeout.
///   - what: The expected state, for the error message: `not <what> within 10 s`.
/// - Throws: ``Overdue`` after the timeout; the error of the operation.
package func within<Result: Sendable>(
    _ limit: Duration, _ what: String, operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    let clock = SystemMonotonicClock()
    guard let result = try await clock.run(until: clock.now + limit, operation) else {
        throw Overdue(description: "not \(what) within \(Text.seconds(limit))")
    }
    return result
}
