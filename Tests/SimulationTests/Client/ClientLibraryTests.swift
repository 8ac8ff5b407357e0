import Synchronization
import Testing
import ZooKeeperSimulator
import ZooKeeperTransport

/// What callers of the simulated client library hear, where it differs from what a server sends.
@Suite struct ClientLibraryTests {
    @Test func `who ends a session hears nothing of the end of its own ephemerals`() {
        let scene = EnsembleScene()
        let process = SimulatedProcess("client", in: scene.simulation)
        let heard = Mutex<[String]>([])
        let connection = SimulatedTransport(process, network: scene.ensemble).makeConnection(
            to: TransportEndpoint(servers: scene.ensemble.addresses, sessionTimeout: 4000)
        ) { event in
            if case .watch(let watch) = event { heard.withLock { $0.append("\(watch.kind) \(watch.path)") } }
            if case .connected = event { heard.withLock { $0.append("connected") } }
        }
        connection.open()
        scene.run(until: { heard.withLock { !$0.isEmpty } })
        connection.submit(.create(path: "/e", data: nil, mode: .ephemeral, acl: .anybody)) { _ in }
        connection.submit(.exists(path: "/e", watch: true)) { reply in
            heard.withLock { $0.append("answered \(reply.code)") }
        }
        scene.run(until: { heard.withLock { $0.count == 2 } })
        process.start { await connection.close(.endSession) }
        scene.run(.seconds(1))
        #expect(!process.isRunning)
        #expect(scene.ensemble.node("/e") == nil)
        #expect(heard.withLock { $0 } == ["connected", "answered 0"])
    }
}
