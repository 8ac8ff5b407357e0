internal import ZooKeeper
package import ZooKeeperTransport

/// Where a simulated process's connections lead.
package protocol SimulatedNetwork: AnyObject {
    /// Says whether the server at the address took the connection.
    func connect(_ socket: SimulatedSocket, to address: String) -> Bool
}

extension SimulatedEnsemble: SimulatedNetwork {}

/// The transport of a simulated process: what the C client does, over a simulated network.
package struct SimulatedTransport: Transport {
    private let process: Confined<SimulatedProcess>
    private let network: Confined<any SimulatedNetwork>
    private let settings: ClientLibrary.Settings

    package init(
        _ process: SimulatedProcess, network: any SimulatedNetwork,
        settings: ClientLibrary.Settings = ClientLibrary.Settings()
    ) {
        self.process = Confined(process)
        self.network = Confined(network)
        self.settings = settings
    }

    package func makeConnection(
        to endpoint: TransportEndpoint, receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection {
        SimulatedConnection(
            ClientLibrary(
                process: process.value, network: network.value, endpoint: endpoint, settings: settings,
                receive: receive))
    }
}

/// A connection as the client sees it.
final class SimulatedConnection: TransportConnection {
    private let library: Confined<ClientLibrary>

    init(_ library: ClientLibrary) {
        self.library = Confined(library)
    }

    func open() {
        library.value.open()
    }

    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void) {
        library.value.submit(request, completion: completion)
    }

    func close(_ end: TransportClose) async -> Bool {
        await withCheckedContinuation { continuation in
            library.value.close(end) { continuation.resume() }
        }
        return end == .keepSession
    }
}
