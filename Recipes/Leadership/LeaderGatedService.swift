public import Logging
public import ServiceLifecycle
public import ZooKeeper

/// Runs a service only while this process leads.
///
/// ```swift
/// let reports = try LeaderGatedService(client: client, path: "/app/reports", id: "batch1") { term in
///     ReportService(token: term.fencingToken)
/// }
/// try await ServiceGroup(services: [client, reports], logger: logger).run()
/// ```
///
/// Each term makes a service and runs it. When the leader resigns, hands its place over or shuts down, the service is shut
/// down gracefully and, after a grace, cancelled; when the term is lost it is cancelled at once. In each case it is awaited
/// before the place is given up, and nobody else's service begins before that, unless the session has ended. A service that
/// returns ends its term; one that throws does so as well, and the participant stands again after a pause.
public final class LeaderGatedService: Service, Sendable {
    /// The participant: its states, terms and transfers.
    public let selector: LeaderSelector

    /// Makes a participant; nothing is sent before it runs.
    ///
    /// - Parameters:
    ///   - client: Whose session holds the candidate; it must be running, else everything waits.
    ///   - path: The election's directory; it and its parents are created as needed.
    ///   - id: Names the participant to others, in the data of its candidate.
    ///   - configuration: Pauses, shutdown, priority.
    ///   - grace: How long a graceful shutdown of the service may take before it is cancelled.
    ///   - logger: Where the participant tells what happens to it.
    ///   - service: Makes the service of a term.
    /// - Throws: As `LeaderSelector.init`.
    public init(
        client: ZooKeeperClient,
        path: String,
        id: String,
        configuration: LeaderConfiguration = LeaderConfiguration(),
        grace: Duration = .seconds(10),
        logger: Logger = .current,
        service: @escaping @Sendable (Term) async throws -> any Service
    ) throws {
        selector = try LeaderSelector(
            client: client, path: path, id: id, configuration: configuration, logger: logger, grace: grace
        ) { term in
            try await Self.run(try await service(term), in: term, logger: logger)
        }
    }

    /// Takes part until stopped, as ``LeaderSelector/run()`` does.
    public func run() async throws { try await selector.run() }

    private static func run(_ service: any Service, in term: Term, logger: Logger) async throws {
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(
                        service: service, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .cancelGroup)
                ], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask {
                // Cancelled when the service has ended, or with the term; what is cancelled gets no grace.
                guard let ending = try? await term.ending.wait(), ending != .cancelled else { return }
                await group.triggerGracefulShutdown()
                try? await OneShot<Void>().wait()
            }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }
}
