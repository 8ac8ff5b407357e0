public import Logging
public import ServiceLifecycle
public import ZooKeeper

/// A service that runs only while this process leads.
///
/// ```swift
/// let reports = try LeaderGatedService(client: client, path: "/app/reports", id: "batch1") { term in
///     ReportService(token: term.fencingToken)
/// }
/// try await ServiceGroup(services: [client, reports], logger: logger).run()
/// ```
///
/// Each term creates a service and runs it. When the leader resigns, transfers its leadership or shuts down, the
/// service is shut down gracefully. If it does not end within the grace period, it is cancelled. When the term is lost,
/// the service is cancelled at once. In each case, the leadership is released only after the service has ended. No
/// other process starts its service before that, unless the session has expired. The term ends when the service returns
/// or throws. If the service throws, the participant pauses before it rejoins the election.
public final class LeaderGatedService: Service, Sendable {
    /// The participant with its states, terms and transfers.
    public let selector: LeaderSelector

    /// Creates a participant, which sends nothing until it runs.
    ///
    /// - Parameters:
    ///   - client: The client whose session owns the candidate znode. If it is not running, every operation waits for
    ///     it.
    ///   - path: The directory of the election. It is created with its parents if it does not exist.
    ///   - id: The ID of the participant, stored as the data of its candidate znode.
    ///   - configuration: The pauses, the shutdown policy and the priority.
    ///   - gracePeriod: The time that a graceful shutdown of the service may take before it is cancelled. Default: 10 s.
    ///   - logger: The logger for the events of the participant.
    ///   - service: The closure that creates the service of a term.
    /// - Throws: As `LeaderSelector.init`.
    public init(
        client: ZooKeeperClient,
        path: String,
        id: String,
        configuration: LeaderConfiguration = LeaderConfiguration(),
        gracePeriod: Duration = .seconds(10),
        logger: Logger = .current,
        service: @escaping @Sendable (Term) async throws -> any Service
    ) throws {
        selector = try LeaderSelector(
            client: client, path: path, id: id, configuration: configuration, logger: logger, grace: gracePeriod
        ) { term in
            try await Self.run(try await service(term), in: term, logger: logger)
        }
    }

    /// Takes part in the election until it is stopped, as ``LeaderSelector/run()`` does.
    ///
    /// - Throws: As ``LeaderSelector/run()``.
    /// - Complexity: As ``LeaderSelector/run()``.
    public func run() async throws { try await selector.run() }

    private static func run(_ service: any Service, in term: Term, logger: Logger) async throws {
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(
                        service: service, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .cancelGroup)
                ], logger: logger))
        try await race(
            { try await group.run() },
            {
                // Cancelled when the service has ended, or together with the term. A cancelled term gets no grace
                // period.
                guard let ending = try? await term.ending.wait(), ending != .cancelled else { return }
                await group.triggerGracefulShutdown()
                try? await OneShot<Void>().wait()
            })
    }
}
