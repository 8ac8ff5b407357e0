import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A server, a client behind a proxy that can be disturbed, one that cannot, and a lock that both use.
struct LockScene: Sendable {
    static let path = "/app/lock"

    var server: TestServer
    var proxy: FaultProxy
    /// The client behind the proxy.
    var client: ZooKeeperClient
    /// Whoever else uses the lock.
    var other: ZooKeeperClient
    var lock: DistributedReadWriteLock
    var otherLock: DistributedReadWriteLock

    /// Runs a test in a scene of its own.
    ///
    /// - Parameters:
    ///   - chroot: What stands for the root in the paths of both clients.
    ///   - configuration: How the server is set up, which is then the scene's own.
    static func with(
        sessionTimeout: Duration = .seconds(4), chroot: String = "", configuration: TestServerConfiguration? = nil,
        _ body: @escaping @Sendable (LockScene) async throws -> Void
    ) async throws {
        try await withSceneServer(configuration) { server in
            let proxy = try FaultProxy(to: server)
            let near = try ZooKeeperClientConfiguration(
                connectionString: proxy.connectionString + chroot, sessionTimeout: sessionTimeout)
            let far = try ZooKeeperClientConfiguration(
                connectionString: server.connectionString + chroot, sessionTimeout: .seconds(10))
            if !chroot.isEmpty { try await makeChroot(chroot, on: server) }
            try await withZooKeeperClient(configuration: far) { other in
                try await withZooKeeperClient(configuration: near) { client in
                    let scene = LockScene(
                        server: server, proxy: proxy, client: client, other: other,
                        lock: try DistributedReadWriteLock(client: client, path: path, id: "near"),
                        otherLock: try DistributedReadWriteLock(client: other, path: path, id: "far"))
                    try await body(scene)
                }
            }
            await proxy.close()
        }
    }

    private static func makeChroot(_ path: String, on server: TestServer) async throws {
        try await withZooKeeperClient(configuration: .init(connectionString: server.connectionString)) { client in
            _ = try await client.create(path)
        }
    }

    /// Lets the other client hold the lock, and the client behind the proxy wait for it.
    static func withWaiter(
        sessionTimeout: Duration = .seconds(10),
        _ body: @escaping @Sendable (LockScene, _ holder: Holder, _ waiter: Holder) async throws -> Void
    ) async throws {
        try await with(sessionTimeout: sessionTimeout) { scene in
            let holder = Holder.writes(scene.otherLock)
            _ = try await holder.lease
            let waiter = Holder.writes(scene.lock)
            try await scene.contenders { $0.count == 2 }
            try await body(scene, holder, waiter)
        }
    }

    /// The lock's children that stand now, by their numbers.
    func contenders() async throws -> [ContenderName] {
        guard try await other.exists(at: Self.path) != nil else { return [] }
        return try await other.children(of: Self.path).names.compactMap(ContenderName.init)
            .sorted { $0.number < $1.number }
    }

    /// Waits until the lock's children satisfy a condition.
    @discardableResult
    func contenders(where matches: ([ContenderName]) -> Bool) async throws -> [ContenderName] {
        while true {
            let (stat, created) = try await other.watchExistence(at: Self.path)
            guard stat != nil else {
                if matches([]) { return [] }
                _ = try await created.event()
                continue
            }
            let (names, _, watch) = try await other.watchChildren(of: Self.path)
            let contenders = names.compactMap(ContenderName.init).sorted { $0.number < $1.number }
            if matches(contenders) { return contenders }
            _ = try await watch.event()
        }
    }

    /// What the client has asked the server since requests were last forgotten, but for what keeps the session.
    func requests() async throws -> [ProxiedRequest.Operation] {
        _ = try? await client.exists(at: "/marker")
        var operations: [ProxiedRequest.Operation] = []
        while true {
            let request = try await proxy.nextRequest {
                $0.operation != .ping && $0.operation != .multi && $0.path != "/"
            }
            if request.path == "/marker" { return operations }
            operations.append(request.operation)
        }
    }

    func path(_ name: ContenderName) -> String { "\(Self.path)/\(name)" }
}

/// A lock that a task of its own holds until it is told to let go.
struct Holder: Sendable {
    let granted = OneShot<Lease>()
    let letGo = OneShot<Void>()
    let cancelled = OneShot<Void>()
    private let task: Task<Void, any Error>

    init(
        _ acquire: @escaping @Sendable (@escaping @Sendable (Lease) async throws -> Void) async throws -> Void
    ) {
        let (granted, letGo, cancelled) = (granted, letGo, cancelled)
        task = Task {
            try await acquire { lease in
                granted.set(lease)
                do {
                    try await letGo.wait()
                } catch {
                    cancelled.set(())
                    throw error
                }
            }
        }
    }

    static func reads(_ lock: DistributedReadWriteLock) -> Holder { Holder { try await lock.withReadLock($0) } }
    static func writes(_ lock: DistributedReadWriteLock) -> Holder { Holder { try await lock.withWriteLock($0) } }

    var lease: Lease { get async throws { try await granted.wait() } }
    var isGranted: Bool { granted.value != nil }

    /// Lets go, and waits until the lock is given up.
    func finish() async throws {
        letGo.set(())
        try await task.value
    }

    func cancel() { task.cancel() }

    /// The error that the acquisition ended with.
    func error() async -> (any Error)? {
        do {
            try await task.value
            return nil
        } catch {
            return error
        }
    }
}

extension Holder {
    /// Whether the body was cancelled.
    var isCancelled: Bool { cancelled.value != nil }

    /// The error of the lock that the acquisition ended with.
    func lockError() async -> RecipeError? { await error() as? RecipeError }
}

extension ZooKeeperClient {
    /// Waits for a state.
    func state(where matches: (SessionState) -> Bool) async {
        for await state in states where matches(state) { return }
    }
}
