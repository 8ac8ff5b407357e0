public import ZooKeeper
public import ZooKeeperRecipes

/// A reader for the records of a scheduled task, for processes that do not take part in it.
///
/// ```swift
/// for run in try await ScheduledTaskHistory(client: client, path: "/app/settle").runs() {
///     print(run.period, run.state, run.participantID, run.attempt, run.duration ?? .zero, run.message ?? "")
/// }
/// ```
public struct ScheduledTaskHistory: Sendable {
    /// The path of the task.
    public let path: String
    private let client: ZooKeeperClient

    /// Creates a reader for a task.
    ///
    /// No request is sent.
    ///
    /// - Parameters:
    ///   - client: The client that sends the requests.
    ///   - path: The path of the task.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(client: ZooKeeperClient, path: String) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.client = client
    }

    /// Returns the existing records by the start of their periods, the newest last.
    ///
    /// Records that cannot be parsed are omitted.
    ///
    /// - Returns: The records; an empty array if there is no task at the path.
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: 1 listing, and 1 read for each record, with up to 64 reads in flight.
    public func runs() async throws -> [RunRecord] {
        let paths = TaskPaths(path)
        let children = try await client.recipeSteps { try await client.childrenWithData(of: paths.runs) }
        return try children.compactMap { Self.record(try $0.read(), $0.stat) }
            .sorted { ($0.start, $0.period) < ($1.start, $1.period) }
    }

    /// Returns the record of one period; `nil` if it does not exist.
    ///
    /// - Parameter period: The period's ID.
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: 1 request.
    public func run(_ period: String) async throws -> RunRecord? {
        try await client.recipeSteps { try await client.dataIfExists(at: TaskPaths(path).run(period)) }
            .flatMap { RunRecord($0.data) }
    }

    /// Returns the participants of the task's election, the leader first.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: 1 listing, and 1 read for each participant, with up to 64 reads in flight.
    public func nodes() async throws -> [ElectionParticipant] {
        try await LeaderSelector.participants(client: client, path: TaskPaths(path).leader)
    }

    /// Parses a record.
    ///
    /// The token of a claimed run is the transaction that claimed it.
    private static func record(_ data: [UInt8], _ stat: ZNodeStat) -> RunRecord? {
        guard var record = RunRecord(data) else { return nil }
        if record.state == .claimed { record.token = FencingToken(rawValue: stat.mzxid.rawValue) }
        return record
    }
}
