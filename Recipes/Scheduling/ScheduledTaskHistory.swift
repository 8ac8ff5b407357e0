internal import Foundation
public import ZooKeeper
public import ZooKeeperRecipes

/// Reads what a scheduled task has done, without taking part in it.
///
/// ```swift
/// for run in try await ScheduledTaskHistory(path: "/app/settle", client: client).runs() {
///     print(run.period, run.state, run.node, run.attempt, run.duration ?? .zero, run.explanation ?? "")
/// }
/// ```
public struct ScheduledTaskHistory: Sendable {
    /// The task's path.
    public let path: String
    private let client: ZooKeeperClient

    /// Names a task; nothing is sent.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(path: String, client: ZooKeeperClient) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.client = client
    }

    /// The records that are kept, by the beginnings of their periods, the newest last.
    ///
    /// A record that cannot be read is left out.
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`. Without a task at the path the list is empty.
    /// - Complexity: A listing, and a read for each record, up to 64 in flight.
    public func runs() async throws -> [RunRecord] {
        let paths = TaskPaths(path)
        let children = try await client.recipeSteps { try await client.childrenWithData(of: paths.runs) }
        return try children.compactMap { Self.record(try $0.read(), $0.stat) }
            .sorted { ($0.start, $0.period) < ($1.start, $1.period) }
    }

    /// The record of one period; `nil` when there is none.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: One request.
    public func run(_ period: String) async throws -> RunRecord? {
        try await client.recipeSteps { try await client.dataIfPresent(at: TaskPaths(path).run(period)) }
            .flatMap { RunRecord($0.data) }
    }

    /// Who stands for the task, the leader first.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: A listing, and a read for each node.
    public func nodes() async throws -> [ElectionParticipant] {
        try await LeaderSelector.participants(at: TaskPaths(path).leader, client: client)
    }

    /// A claimed run has its token from the transaction that claimed it.
    private static func record(_ data: [UInt8], _ stat: ZNodeStat) -> RunRecord? {
        guard var record = RunRecord(data) else { return nil }
        if record.state == .claimed { record.token = FencingToken(rawValue: stat.mzxid.rawValue) }
        return record
    }
}
