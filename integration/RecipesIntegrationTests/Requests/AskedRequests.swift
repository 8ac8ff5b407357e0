import ZooKeeper
import ZooKeeperTestKit

/// What the near client of a scene asks of the server, request by request, but for what keeps its session.
struct AskedRequests: Sendable {
    let scene: CacheScene

    /// Runs a test in a scene whose session is not proved again while the test lasts, which is 90 s at most.
    static func with(_ body: (CacheScene, AskedRequests) async throws -> Void) async throws {
        try await CacheScene.with(sessionTimeout: .seconds(300)) { scene in
            try await body(scene, AskedRequests(scene: scene))
        }
    }

    /// Begins to count.
    func forget() async throws {
        try await scene.settle()
        _ = try await scene.requests()
    }

    /// Waits for so many requests, and gives them and those that came beside them, in order.
    ///
    /// - Parameters:
    ///   - watchesHeld: Whether reads of contenders' znodes count. Who holds something watches its own znode 20 ms later,
    ///     which may come at any moment on a busy machine.
    ///   - directory: Where they do not count in any case.
    func all(
        _ count: Int, watchesHeld: Bool = true, butIn directory: String? = nil
    ) async throws -> [String] {
        var requests: [ProxiedRequest.Operation] = []
        func take() async throws -> ProxiedRequest {
            try await scene.proxy.nextRequest {
                $0.operation != .ping && $0.path != "/"
                    && !($0.readsContender && (!watchesHeld || directory.map($0.isBelow) ?? false))
            }
        }
        while requests.count < count { requests.append(try await take().operation) }
        try await scene.settle()
        _ = try await scene.client.exists(at: "/marker")
        while true {
            let request = try await take()
            if request.path == "/marker" { return requests.map(\.word) }
            requests.append(request.operation)
        }
    }
}

extension ProxiedRequest {
    fileprivate var readsContender: Bool {
        guard self.operation == .getData, let name = path?.split(separator: "/").last else { return false }
        return name.hasPrefix("_c_") && !name.contains(".")
    }

    fileprivate func isBelow(_ directory: String) -> Bool { path?.hasPrefix(directory + "/") == true }
}

extension ProxiedRequest.Operation {
    /// Its name in the documentation.
    fileprivate var word: String {
        switch self {
        case .create, .createWithStat, .createContainer: "create"
        case .delete: "delete"
        case .exists: "exists"
        case .getData: "read"
        case .setData: "write"
        case .getChildren, .getChildrenWithStat: "list"
        case .sync: "sync"
        case .multi: "multi"
        case .removeWatches: "unwatch"
        default: "\(rawValue)"
        }
    }
}
