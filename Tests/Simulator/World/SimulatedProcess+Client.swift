internal import CoreMetrics
package import Logging
package import ZooKeeper

extension SimulatedProcess {
    /// Makes a client that lives in the process: its transport, its clock and its chances are the world's.
    package func makeClient(
        of network: any SimulatedNetwork, configuration: ZooKeeperClientConfiguration,
        library: ClientLibrary.Settings = ClientLibrary.Settings(),
        logger: Logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
    ) throws(ZooKeeperError) -> ZooKeeperClient {
        try ZooKeeperClient(
            configuration: configuration, transport: SimulatedTransport(self, network: network, settings: library),
            resolver: LiteralResolver(), clock: SimulatedClock(self),
            randomness: Randomness(seed: simulation.chance.seed()), logger: logger,
            metricsFactory: NOOPMetricsHandler.instance)
    }
}

/// Simulated servers have no names.
private struct LiteralResolver: NameResolver {
    func resolve(_ host: String) async throws -> [String] { [host] }
}
