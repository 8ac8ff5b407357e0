import Testing
import ZooKeeper
import ZooKeeperTestKit

/// A server, and one peer of each maker that all tests share.
///
/// Tests run one after the other, on paths of their own. Those who are killed are started for it.
struct InteropScene: Sendable {
    let server: TestServer
    let makers: Makers
    let peers: SharedPeers

    @TaskLocal fileprivate static var shared: InteropScene?

    static var current: InteropScene {
        get throws { try #require(shared) }
    }

    /// The shared peer of a maker.
    func peer(_ maker: Maker) async throws -> Peer { try await peers.peer(maker, self) }

    /// A peer of one's own, with a short session, to be killed.
    func victim(_ maker: Maker) async throws -> Peer {
        try await Peer(maker, name: "victim-\(maker)", scene: self, sessionTimeout: Self.victimsTimeout)
    }

    /// What a victim's session may outlive it.
    static let victimsTimeout: Duration = .seconds(4)
    /// The longest time from a victim's death to the next grant: the session's timeout, two of the server's ticks, and what
    /// a busy machine takes.
    static let patience: Duration = victimsTimeout + .seconds(3)

    /// Runs a client that looks at what stands.
    func withClient<Result: Sendable>(
        _ body: @escaping @Sendable (ZooKeeperClient) async throws -> Result
    ) async throws -> Result {
        let configuration = try ZooKeeperClientConfiguration(connectionString: server.connectionString)
        return try await withZooKeeperClient(configuration: configuration) { try await body($0) }
    }

    /// Lets contenders of two makers take and give back on one path, all at once.
    ///
    /// - Returns: What they did.
    func contend(
        _ makers: [Maker], kinds: [Maker: String], at path: String, contenders: Int = 2, times: Int = 100
    ) async throws -> [Evidence] {
        let peers = try await withThrowingTaskGroup(of: Peer.self) { group in
            for maker in makers { group.addTask { try await peer(maker) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for peer in peers { _ = peer.takeEvidence() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for peer in peers {
                let kind = try #require(kinds[peer.maker])
                group.addTask { try await peer.ask("loop \(kind) \(path) \(contenders) \(times)") }
            }
            try await group.waitForAll()
        }
        return peers.flatMap { $0.takeEvidence() }
    }
}

/// The peers that tests share, each started when it is first asked for.
actor SharedPeers {
    private var peers: [Maker: Task<Peer, any Error>] = [:]

    func peer(_ maker: Maker, _ scene: InteropScene) async throws -> Peer {
        if let peer = peers[maker] { return try await peer.value }
        let task = Task {
            try await Peer(maker, name: maker.rawValue, scene: scene, sessionTimeout: .seconds(10))
        }
        peers[maker] = task
        return try await task.value
    }
}

/// Gives a suite its scene.
struct InteropTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let makers = try await Makers()
        try await withTestServer { server in
            let scene = InteropScene(server: server, makers: makers, peers: SharedPeers())
            try await InteropScene.$shared.withValue(scene) { try await function() }
        }
    }
}

extension Trait where Self == InteropTrait {
    /// A server, and peers of the three makers.
    static var interop: InteropTrait { InteropTrait() }
}
