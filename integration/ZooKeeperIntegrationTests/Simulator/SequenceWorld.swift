import Logging
import ZooKeeper
import ZooKeeperBridge
import ZooKeeperSimulator
import ZooKeeperTestKit
import ZooKeeperTransport

/// The servers that a sequence runs against, and the network between.
protocol SequenceWorld: Sendable {
    /// Makes a connection for a slot's session.
    func makeConnection(
        slot: Int, receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection

    /// Breaks the slot's connection, and lets no other be made.
    func cut(slot: Int) async

    /// Lets the slot connect again.
    func restore(slot: Int) async
}

/// The timeout to ask for, which all servers here grant as it is.
private let sessionTimeout: Int32 = 10_000

/// Real servers: each slot goes to its own address, through a proxy if connections are to break.
struct RealWorld: SequenceWorld {
    private let addresses: [String]
    private let proxies: [FaultProxy]

    /// - Parameter addresses: Where each slot connects to.
    init(_ addresses: [String]) {
        self.addresses = addresses
        proxies = []
    }

    /// - Parameter server: What all slots connect to, each through a proxy of its own.
    init(proxied server: TestServer) throws {
        proxies = try (0..<RandomSequence.slots).map { _ in try FaultProxy(to: server) }
        addresses = proxies.map(\.connectionString)
    }

    func makeConnection(
        slot: Int, receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection {
        CTransport(logger: Logger(label: "comparison") { _ in SwiftLogNoOpLogHandler() }).makeConnection(
            to: TransportEndpoint(servers: [addresses[slot]], sessionTimeout: sessionTimeout), receive: receive)
    }

    func cut(slot: Int) async {
        await proxies[slot].refuse()
        await proxies[slot].cut()
    }

    func restore(slot: Int) async {
        await proxies[slot].accept()
    }

    func close() async {
        for proxy in proxies { await proxy.close() }
    }
}

/// Simulated servers: each slot is a process of its own.
struct SimulatedWorld: SequenceWorld {
    private let ensemble: Confined<SimulatedEnsemble>
    private let processes: [Confined<SimulatedProcess>]

    init(_ ensemble: SimulatedEnsemble) {
        self.ensemble = Confined(ensemble)
        processes = (0..<RandomSequence.slots).map {
            Confined(SimulatedProcess("slot\($0)", in: ensemble.simulation))
        }
    }

    func makeConnection(
        slot: Int, receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection {
        let addresses = ensemble.value.addresses
        let endpoint = TransportEndpoint(
            servers: [addresses[slot % addresses.count]], sessionTimeout: sessionTimeout)
        return SimulatedTransport(processes[slot].value, network: ensemble.value)
            .makeConnection(to: endpoint, receive: receive)
    }

    func cut(slot: Int) async {
        let process = processes[slot].value
        (process.isCutOff, process.cutOffIsSilent) = (true, false)
        for socket in process.connections { socket.reset() }
    }

    func restore(slot: Int) async {
        processes[slot].value.isCutOff = false
    }
}
