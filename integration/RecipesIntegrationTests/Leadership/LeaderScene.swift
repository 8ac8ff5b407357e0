import Logging
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A server, a client behind a proxy that can be disturbed, one that cannot, and an election that both take part in.
struct LeaderScene: Sendable {
    static let path = "/app/leader"
    static let epochPath = "/app/leader-epoch"

    var server: TestServer
    var proxy: FaultProxy
    /// The client behind the proxy.
    var client: ZooKeeperClient
    /// Whoever else takes part.
    var other: ZooKeeperClient

    static func with(
        sessionTimeout: Duration = .seconds(4), _ body: @escaping @Sendable (LeaderScene) async throws -> Void
    ) async throws {
        try await withSceneServer { server in
            let proxy = try FaultProxy(to: server)
            let near = try ZooKeeperClientConfiguration(
                connectionString: proxy.connectionString, sessionTimeout: sessionTimeout)
            let far = try ZooKeeperClientConfiguration(
                connectionString: server.connectionString, sessionTimeout: .seconds(10))
            try await withZooKeeperClient(configuration: far) { other in
                try await withZooKeeperClient(configuration: near) { client in
                    try await body(LeaderScene(server: server, proxy: proxy, client: client, other: other))
                }
            }
            await proxy.close()
        }
    }

    /// Lets a participant run on the client behind the proxy.
    func near(
        _ id: String = "near", _ configuration: LeaderConfiguration = .init(),
        lead: @escaping @Sendable (Term) async throws -> Void = Contestant.hold
    ) throws -> Contestant {
        try Contestant(client: client, id: id, configuration, lead: lead)
    }

    /// Lets a participant run on the other client.
    func far(
        _ id: String = "far", _ configuration: LeaderConfiguration = .init(),
        lead: @escaping @Sendable (Term) async throws -> Void = Contestant.hold
    ) throws -> Contestant {
        try Contestant(client: other, id: id, configuration, lead: lead)
    }

    /// The election's candidates that stand now, in the order of their numbers.
    func candidates() async throws -> [ContenderName] {
        guard try await other.exists(at: Self.path) != nil else { return [] }
        return try await other.children(of: Self.path).names.compactMap(ContenderName.init)
            .sorted { $0.number < $1.number }
    }

    /// Waits until the candidates satisfy a condition.
    @discardableResult
    func candidates(where matches: ([ContenderName]) -> Bool) async throws -> [ContenderName] {
        func candidates(_ names: [String]) -> [ContenderName] {
            names.compactMap(ContenderName.init).sorted { $0.number < $1.number }
        }
        return candidates(try await names(in: Self.path) { matches(candidates($0 ?? [])) } ?? [])
    }

    /// Waits until the directory of requests exists, and the requests in it satisfy a condition.
    @discardableResult
    func requests(where matches: ([String]) -> Bool) async throws -> [String] {
        try await names(in: Self.path + "-requests") { $0.map(matches) ?? false } ?? []
    }

    /// Waits until the names of a directory, which are `nil` while it does not exist, satisfy a condition.
    private func names(in directory: String, where matches: ([String]?) -> Bool) async throws -> [String]? {
        while true {
            let (stat, created) = try await other.watchExistence(at: directory)
            guard stat != nil else {
                if matches(nil) { return nil }
                _ = try await created.event()
                continue
            }
            let (names, _, watch) = try await other.watchChildren(of: directory)
            if matches(names) { return names }
            _ = try await watch.event()
        }
    }

    func path(_ name: ContenderName) -> String { "\(Self.path)/\(name)" }
}

/// A participant that runs in a task of its own.
struct Contestant: Sendable {
    let selector: LeaderSelector
    let task: Task<Void, any Error>

    init(
        client: ZooKeeperClient, path: String = LeaderScene.path, id: String,
        _ configuration: LeaderConfiguration = .init(),
        lead: @escaping @Sendable (Term) async throws -> Void = Contestant.hold
    ) throws {
        let selector = try LeaderSelector(
            client: client, path: path, id: id, configuration: configuration, lead: lead)
        self.selector = selector
        task = Task { try await selector.run() }
    }

    /// Leads until cancelled.
    static let hold: @Sendable (Term) async throws -> Void = { _ in try await OneShot<Void>().wait() }

    /// Waits until it leads in a term of at least a number.
    @discardableResult
    func leads(term number: Int = 1) async throws -> Term {
        for await state in selector.states {
            if state.isLeading, let term = selector.term, term.number >= number { return term }
        }
        throw RecipeError(.stopped, in: .election, path: selector.path)
    }

    /// Waits for a state.
    func state(where matches: (LeaderState) -> Bool) async {
        for await state in selector.states where matches(state) { return }
    }

    /// Waits until it stands in the queue behind others.
    func waits() async {
        await state { if case .waiting(.some) = $0 { true } else { false } }
    }

    /// Ends it and waits for that.
    func stop() async throws {
        task.cancel()
        try await task.value
    }
}

/// What closures of terms leave behind.
final class Notes: Sendable {
    private let broadcast = Broadcast<[String]>([])

    var all: [String] { broadcast.current }

    func add(_ note: String) { broadcast.send(broadcast.current + [note]) }

    /// Waits until so many have been left.
    func count(_ number: Int) async {
        for await notes in broadcast.follow() where notes.count >= number { return }
    }
}
