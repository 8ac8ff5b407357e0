internal import Foundation
public import ZooKeeper

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
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`. No task at the path has no runs.
    /// - Complexity: A listing, and all records in one flight.
    public func runs() async throws -> [RunRecord] {
        let paths = TaskPaths(path)
        do {
            let names = try await client.recipeSteps { try await client.children(of: paths.runs) }.names
            let results = try await client.liveSession().flight(names.map { .data(path: paths.run($0)) })
            return try results.compactMap { try Self.record($0) }
                .sorted { ($0.start, $0.period) < ($1.start, $1.period) }
        } catch let error as ZooKeeperError where error.code == .noNode {
            return []
        }
    }

    /// The record of one period; `nil` when there is none.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: One request.
    public func run(_ period: String) async throws -> RunRecord? {
        do {
            let (data, _) = try await client.recipeSteps { try await client.data(at: TaskPaths(path).run(period)) }
            return RunRecord(data)
        } catch let error as ZooKeeperError where error.code == .noNode {
            return nil
        }
    }

    /// Who stands for the task, the leader first.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: A listing, and a read for each node.
    public func nodes() async throws -> [ElectionParticipant] {
        try await LeaderSelector.participants(at: TaskPaths(path).leader, client: client)
    }

    /// One that was deleted meanwhile is left out.
    private static func record(_ result: SessionResult) throws(ZooKeeperError) -> RunRecord? {
        switch result {
        case .failure(let error) where error.code == .noNode: return nil
        case .failure(let error): throw error
        case .success(let reply):
            let (data, stat) = try reply.data
            guard var record = RunRecord(data) else { return nil }
            if record.state == .claimed { record.token = FencingToken(rawValue: stat.mzxid.rawValue) }
            return record
        }
    }
}
