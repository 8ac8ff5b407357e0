internal import Synchronization

extension ZooKeeperClient {
    /// Reads a znode's data and watches it: for the next write, or its deletion.
    ///
    /// The watches of a program share the room for watches with its caches; locks and elections come first. See
    /// ``ZooKeeperClientConfiguration/maximumPacketSize``.
    ///
    /// - Returns: The data, the stat, and a watch for the one next event.
    /// - Throws: ``ZooKeeperError``: `.noNode`, and then nothing is watched, `.noAuth`, `.invalidArgument` if there is no room
    ///   for the watch; or `CancellationError`.
    /// - Complexity: One round trip.
    public func watchData(at path: String) async throws -> (data: [UInt8], stat: ZNodeStat, watch: Watch) {
        try await watchData(at: path, share: core.programShare)
    }

    /// The same, with a share of the room for watches; `nil` for a watch that a lock or an election cannot do without.
    package func watchData(
        at path: String, share: WatchShare?
    ) async throws -> (data: [UInt8], stat: ZNodeStat, watch: Watch) {
        let (reply, watch) = try await watching(path, kind: .data, share) { .data(path: path, watch: $0) }
        let (data, stat) = try reply.data
        return (data, stat, watch)
    }

    /// Looks whether a znode stands and watches it: for its creation, the next write, or its deletion.
    ///
    /// - Returns: The stat, or `nil` when it does not stand, and a watch for the one next event.
    /// - Throws: ``ZooKeeperError``: `.invalidArgument` if there is no room for the watch; or `CancellationError`.
    /// - Complexity: One round trip.
    public func watchExistence(at path: String) async throws -> (stat: ZNodeStat?, watch: Watch) {
        try await watchExistence(at: path, share: core.programShare)
    }

    /// The same, with a share of the room for watches; `nil` for a watch that a lock or an election cannot do without.
    package func watchExistence(
        at path: String, share: WatchShare?
    ) async throws -> (stat: ZNodeStat?, watch: Watch) {
        let (reply, watch) = try await watching(path, kind: .data, share) { .exists(path: path, watch: $0) }
        if case .none = reply { return (nil, watch) }
        return (try reply.stat, watch)
    }

    /// Lists a znode's children and watches them: for the next one that comes or goes, or the znode's deletion.
    ///
    /// - Returns: The names in no order, the znode's stat, and a watch for the one next event.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`, `.invalidArgument` if there is no room for the watch; or
    ///   `CancellationError`.
    /// - Complexity: One round trip.
    public func watchChildren(of path: String) async throws -> (names: [String], stat: ZNodeStat, watch: Watch) {
        try await watchChildren(of: path, share: core.programShare)
    }

    /// The same, with a share of the room for watches; `nil` for a watch that a lock or an election cannot do without.
    package func watchChildren(
        of path: String, share: WatchShare?
    ) async throws -> (names: [String], stat: ZNodeStat, watch: Watch) {
        let (reply, watch) = try await watching(path, kind: .children, share) { .children(path: path, watch: $0) }
        let (names, stat) = try reply.children
        return (names, stat, watch)
    }

    private func watching(
        _ path: String, kind: WatchedKind, _ share: WatchShare?, request: (WatchSink) -> SessionRequest
    ) async throws -> (SessionReply, Watch) {
        let oneShot = OneShotWatch(core, path: path, kind: kind, share: share)
        let watch = Watch(oneShot)
        let request = request(oneShot.sink)
        do {
            return (try await core.perform(request), watch)
        } catch let error as ZooKeeperError where error.code == .noNode {
            guard case .exists = request else { throw error }
            return (.none, watch)
        }
    }
}
