internal import Synchronization

extension ZooKeeperClient {
    /// Reads a znode's data and watches it: for the next write, or its deletion.
    ///
    /// - Returns: The data, the stat, and a watch for the one next event.
    /// - Throws: ``ZooKeeperError``: `.noNode`, and then nothing is watched, `.noAuth`; or `CancellationError`.
    /// - Complexity: One round trip.
    public func watchData(at path: String) async throws -> (data: [UInt8], stat: ZNodeStat, watch: Watch) {
        let (reply, watch) = try await watching(path, kind: .data) { .data(path: path, watch: $0) }
        let (data, stat) = try reply.data
        return (data, stat, watch)
    }

    /// Looks whether a znode stands and watches it: for its creation, the next write, or its deletion.
    ///
    /// - Returns: The stat, or `nil` when it does not stand, and a watch for the one next event.
    /// - Complexity: One round trip.
    public func watchExistence(at path: String) async throws -> (stat: ZNodeStat?, watch: Watch) {
        let (reply, watch) = try await watching(path, kind: .data) { .exists(path: path, watch: $0) }
        if case .none = reply { return (nil, watch) }
        return (try reply.stat, watch)
    }

    /// Lists a znode's children and watches them: for the next one that comes or goes, or the znode's deletion.
    ///
    /// - Returns: The names in no order, the znode's stat, and a watch for the one next event.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`; or `CancellationError`.
    /// - Complexity: One round trip.
    public func watchChildren(of path: String) async throws -> (names: [String], stat: ZNodeStat, watch: Watch) {
        let (reply, watch) = try await watching(path, kind: .children) { .children(path: path, watch: $0) }
        let (names, stat) = try reply.children
        return (names, stat, watch)
    }

    private func watching(
        _ path: String, kind: WatchedKind, request: (WatchSink) -> SessionRequest
    ) async throws -> (SessionReply, Watch) {
        let outcome = OneShot<WatchEvent>()
        let sink = WatchSink { outcome.set($0) }
        let core = core
        let watch = Watch(path: path, outcome: outcome) { core.giveUp(sink, path: path, kind: kind) }
        let request = request(sink)
        do {
            return (try await core.perform(request), watch)
        } catch let error as ZooKeeperError where error.code == .noNode {
            guard case .exists = request else { throw error }
            return (.none, watch)
        }
    }
}
