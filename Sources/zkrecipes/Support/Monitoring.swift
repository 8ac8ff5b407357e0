import ArgumentParser
import CommandLineSupport
import FlyingFox
import FoundationEssentials
import ZooKeeper

/// The option for metrics and probes over HTTP.
struct MonitoringOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Serve /metrics for Prometheus, and the probes /live and /ready, at this IP address and port.",
            discussion: """
                Such as 127.0.0.1:9100 or [::1]:9100; 0.0.0.0 stands for all addresses, port 0 for a free port, which is \
                reported. /ready fails without a connection. There is neither encryption nor authentication.
                """,
            valueName: "address:port"),
        transform: ListenAddress.parse)
    var metrics: ListenAddress?

    /// Runs an operation with a connected client, and serves its metrics and its readiness if the option is set.
    ///
    /// - Parameter operation: Uses the client, and adds conditions to the readiness.
    func runProgram<Result: Sendable>(
        with options: ConnectionOptions,
        operation: @escaping @Sendable (ZooKeeperClient, Readiness) async throws -> Result
    ) async throws -> Result {
        let readiness = Readiness()
        guard let metrics else {
            return try await CommandLineSupport.runProgram(with: options, readiness: readiness) { client in
                try await operation(client, readiness)
            }
        }
        options.log.apply()
        let collection = PrometheusMetrics(help: Self.help)
        return try await MonitoringServer(metrics: collection, readiness: readiness).serve(at: metrics) {
            try await CommandLineSupport.runProgram(
                with: options, metricsFactory: collection, readiness: readiness
            ) { client in try await operation(client, readiness) }
        }
    }

    /// The help texts of the metrics, by their labels.
    static let help = [
        "zookeeper.requests": "Finished requests, including heartbeats.",
        "zookeeper.request.duration.seconds": "Time from submission of a request to its answer.",
        "zookeeper.session.changes": "Changes of the state of the session.",
        "zookeeper.session.validity.seconds":
            "Validity left after the last heartbeat of a session that holds something.",
        "zookeeper.fenced.writes": "Writes to a fenced store.",
        "zookeeper.grants": "Acquired locks, leases, terms, windows, and openings of gates.",
        "zookeeper.grants.held": "Locks, leases, terms, windows and open gates that are held now.",
        "zookeeper.grant.losses": "Grants that were lost before they were released.",
        "zookeeper.grant.wait.seconds":
            "Time from joining the queue to the grant; for a gate, the time while it was closed.",
        "zookeeper.grant.hold.seconds": "Time from a grant to its release or loss.",
        "zookeeper.queue.length": "Participants ahead of one that waits, each time it has found its position.",
        "zookeeper.gate.pause.seconds": "Time for which a window closed a gate.",
        "zookeeper.gate.drain.seconds": "Time from the request of a window until a gate had no event inside.",
        "zookeeper.window.drain.seconds": "Time from the request of a window until all processors had paused.",
        "zookeeper.schedule.lateness.seconds": "Time from the start of a period to the first start of its run.",
        "zookeeper.schedule.runs": "Runs of schedules that have ended, or were left out.",
        "zookeeper.partition.moves": "Partitions that this node has gained and lost.",
    ]
}

/// The HTTP server for metrics and probes.
struct MonitoringServer: HTTPHandler {
    let metrics: PrometheusMetrics
    let readiness: Readiness

    /// Serves requests while an operation runs: see ``ListeningServer/serve(at:listens:_:)``.
    func serve<Result: Sendable>(
        at address: ListenAddress, listens: @Sendable (String) -> Void = report,
        _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await ListeningServer(handler: self, option: "--metrics").serve(at: address, listens: listens, operation)
    }

    private static func report(_ address: String) {
        Output.notice("serving /metrics, /live and /ready at http://\(address)")
    }

    @concurrent
    func handleRequest(_ request: HTTPRequest) async -> HTTPResponse {
        guard request.method == .GET else { return response(.methodNotAllowed, "only GET is allowed\n") }
        switch request.path {
        case "/metrics": return response(.ok, metrics.text, "text/plain; version=0.0.4; charset=utf-8")
        // The answer itself is the evidence.
        case "/live": return response(.ok, "live\n")
        case "/ready":
            guard let problem = readiness.problem else { return response(.ok, "ready\n") }
            return response(.serviceUnavailable, problem + "\n")
        default: return response(.notFound, "there are /metrics, /live and /ready\n")
        }
    }

    private func response(
        _ status: HTTPStatusCode, _ text: String, _ type: String = "text/plain; charset=utf-8"
    ) -> HTTPResponse {
        HTTPResponse(statusCode: status, headers: [.contentType: type], body: Data(text.utf8))
    }
}
