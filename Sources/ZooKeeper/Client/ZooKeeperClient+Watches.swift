internal import Synchronization

extension ZooKeeperClient {
    /// Returns the data of a znode, and watches the znode for the next write or its deletion.
    ///
    /// The watches of a program share the room for watches with its caches; locks and elections have priority. See
    /// ``ZooKeeperClientConfiguration/maximumPacketSize``.
    ///
    /// - Parameter path: The path of the znode.
    /// - Returns: The data, the stat, and a watch for one event, the next one.
    /// - Throws: ``ZooKeeperError``: `.noNode`, in which case nothing is watched, `.noAuth`, `.invalidArgument` if
    ///   there is no room for the watch; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func watchData(at path: String) async throws -> (data: [UInt8], stat: ZNodeStat, watch: Watch) {
        try await watchData(at: path, share: core.programShare)
    }

    /// Does the same as ``watchData(at:)``, with the given share of the room for watches.
    ///
    /// - Parameter share: The share that the watch takes room from; `nil` for a watch that a lock or an election
    ///   depends on.
    package func watchData(
        at path: String, share: WatchShare?
    ) async throws -> (data: [UInt8], stat: ZNodeStat, watch: Watch) {
        let (reply, watch) = try await watching(path, kind: .data, share) { .data(path: path, watch: $0) }
        let (data, stat) = try reply.data
        return (data, stat, watch)
    }

    /// Returns the stat of a znode, and watches for its creation, the next write or its deletion.
    ///
    /// - Parameter path: The path of the znode, which does not have to exist.
    /// - Returns: The stat, or `nil` if the znode does not exist, and a watch for one event, the next one.
    /// - Throws: ``ZooKeeperError``: `.invalidArgument` if there is no room for the watch; `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func watchExistence(at path: String) async throws -> (stat: ZNodeStat?, watch: Watch) {
        try await watchExistence(at: path, share: core.programShare)
    }

    /// Does the same as ``watchExistence(at:)``, with the given share of the room for watches.
    ///
    /// - Parameter share: The share that the watch takes room from; `nil` for a watch that a lock or an election
    ///   depends on.
    package func watchExistence(
        at path: String, share: WatchShare?
    ) async throws -> (stat: ZNodeStat?, watch: Watch) {
        let (reply, watch) = try await watching(path, kind: .data, share) { .exists(path: path, watch: $0) }
        if case .none = reply { return (nil, watch) }
        return (try reply.stat, watch)
    }

    /// Returns the names of a znode's children, and watches for the next created or deleted child, or the znode's
    /// deletion.
    ///
    /// - Parameter path: The path of the znode.
    /// - Returns: The names in no particular order, the stat of the znode, and a watch for one event, the next one.
    /// - Throws: ``ZooKeeperError``: `.noNode`, `.noAuth`, `.invalidArgument` if there is no room for the watch;
    ///   `CancellationError`.
    /// - Complexity: 1 request in 1 round trip.
    public func watchChildren(of path: String) async throws -> (names: [String], stat: ZNodeStat, watch: Watch) {
        try await watchChildren(of: path, share: core.programShare)
    }

    /// Does the same as ``watchChildren(of:)``, with the given share of the room for watches.
    ///
    /// - Parameter share: The share that the watch takes room from; `nil` for a watch that a lock or an election
    ///   depends on.
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
