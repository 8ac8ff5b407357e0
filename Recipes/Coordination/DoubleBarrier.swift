public import ZooKeeper

/// Lets a number of processes begin together and end together.
///
/// ```swift
/// let barrier = try DoubleBarrier(client: client, path: "/jobs/17/phase2", participants: 5)
/// try await barrier.withBarrier(waitingAtMost: .seconds(60), leavingAtMost: .seconds(600)) {
///     try await compute()
/// }
/// ```
///
/// The operation begins when as many participants have entered, and the call returns when all of them have left. The
/// znodes are those of Apache Curator's `DistributedDoubleBarrier`: an ephemeral one for each participant, and `ready`.
///
/// - A participant whose session ends while it waits enters again in the next one, under the same name.
/// - What lets it pass is looked at, not heard of: enough participants stand, or `ready` was written after this participant
///   had entered. A `ready` that an earlier round has left behind lets nobody pass.
/// - Leaving waits for those who stood at that time, not for a next round; a crashed one is gone with its session. On
///   every way out the own znode is deleted.
public final class DoubleBarrier: Sendable {
    /// The barrier's directory.
    public let path: String
    /// How many must enter.
    public let participants: Int
    private let client: ZooKeeperClient
    private static let readyName = "ready"

    /// Makes a barrier; nothing is sent.
    ///
    /// - Parameters:
    ///   - client: Whose session this participant lives by; it must be running, else everything waits.
    ///   - path: The barrier's directory; it and its parents are created as needed.
    ///   - participants: How many must enter, at least one; the same for all.
    /// - Throws: `ZooKeeperError` with code `.invalidPath` or `.invalidArgument`.
    public init(client: ZooKeeperClient, path: String, participants: Int) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        guard participants > 0 else {
            throw ZooKeeperError(.invalidArgument, path: path, message: "\(participants) participants; at least 1")
        }
        self.participants = participants
        self.client = client
    }

    private var readyPath: String { path(of: Self.readyName) }

    private func path(of name: String) -> String { path == "/" ? "/\(name)" : "\(path)/\(name)" }

    /// Enters, runs an operation, and leaves.
    ///
    /// - Parameters:
    ///   - patience: The longest time to wait for the others to enter; `nil` waits without limit.
    ///   - leavePatience: The longest time to wait for the others to leave; `nil` waits without limit.
    ///   - operation: Runs when all have entered. When it throws, this participant leaves without waiting for the others.
    /// - Returns: What the operation returned.
    /// - Throws: ``CoordinationError`` with code `.timedOut`, for entering or leaving; `ZooKeeperError`: `.noAuth`,
    ///   `.clientStopped`; `CancellationError`; or the error of `operation`. The own znode is gone in any case, or goes on
    ///   the next connection or with its session.
    /// - Complexity: Two requests in one flight to enter and two to look, one more for the last one; one to leave, and a
    ///   listing and a watch for each participant that is waited for.
    public func withBarrier<Result: Sendable>(
        waitingAtMost patience: Duration? = nil,
        leavingAtMost leavePatience: Duration? = nil,
        _ operation: () async throws -> Result
    ) async throws -> Result {
        let name = ContenderName.makeUUID(using: client.randomness)
        let node = try PersistentNode(path(of: name), client: client, logger: client.logger)
        let result = try await running(node) {
            try await client.within(patience, at: path) { try await self.enter(node) }
            return try await operation()
        }
        try await client.within(leavePatience, at: path) { try await self.leave() }
        return result
    }

    // MARK: Entering

    /// Until enough have entered.
    private func enter(_ node: PersistentNode) async throws {
        try await refusal(of: node) {
            try await node.waitUntilStanding()
            guard let entered = node.state.znode?.stat.czxid else { return try await self.enter(node) }
            var backoff = self.makeBackoff()
            while true {
                let (results, watch) = try await self.client.flight(watching: self.readyPath) { sink in
                    [.exists(path: self.readyPath, watch: sink), .children(path: self.path)]
                }
                do {
                    if try await self.mayPass(results, enteredAt: entered) { return watch.giveUp() }
                    try await watch.wait()
                    backoff.reset()
                } catch let error as ZooKeeperError {
                    watch.giveUp()
                    guard error.wasInterrupted else { throw error }
                    try await self.client.clock.sleep(until: self.client.clock.now + backoff.pause())
                }
            }
        }
    }

    /// Whether `ready` was written since this participant entered, or enough stand.
    private func mayPass(_ results: [SessionResult], enteredAt entered: ZXID) async throws -> Bool {
        switch results[0] {
        case .success(.stat(let ready)) where ready.mzxid > entered: return true
        case .failure(let error) where error.code != .noNode: throw error
        default: break
        }
        let names: [String]
        switch results[1] {
        case .success(.children(let children, _)): names = children.filter { $0 != Self.readyName }
        case .failure(let error) where error.code == .noNode: return false
        case .failure(let error): throw error
        default: return false
        }
        guard names.count >= participants else { return false }
        try await openUp()
        return true
    }

    /// Tells the others; a `ready` that stands from before is written, which tells them as well.
    private func openUp() async throws {
        let results = try await client.flight(
            .create(path: readyPath, data: [], mode: .persistent), .setData(path: readyPath, data: []))
        switch results[0] {
        case .success: return
        case .failure(let error) where error.code == .nodeExists: return
        case .failure(let error): throw error
        }
    }

    /// Runs an operation until the node is refused by the ensemble for good.
    private func refusal(of node: PersistentNode, _ operation: @escaping @Sendable () async throws -> Void) async throws
    {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await operation() }
            group.addTask {
                for await state in node.states {
                    if case .refused(let error) = state, error.code == .noAuth || error.code == .invalidACL {
                        throw error
                    }
                }
                try Task.checkCancellation()
                throw GroupError(.stopped, path: node.path)
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    // MARK: Leaving

    /// Until everybody who stands now has gone; the own znode has been deleted.
    private func leave() async throws {
        var awaited: Set<String>?
        var backoff = makeBackoff()
        while true {
            do {
                let results = try await client.flight(.sync(path: path), .children(path: path))
                let names = try members(in: results[1])
                let others = awaited.map { names.intersection($0) } ?? names
                awaited = others
                guard let next = others.min() else { return await forgetReady(ifEmpty: names) }
                try await waitUntilGone(path(of: next))
                backoff.reset()
            } catch let error as ZooKeeperError where error.wasInterrupted {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    private func members(in result: SessionResult) throws -> Set<String> {
        switch result {
        case .success(.children(let names, _)): return Set(names.filter { $0 != Self.readyName })
        case .failure(let error) where error.code == .noNode: return []
        case .failure(let error): throw error
        default: return []
        }
    }

    private func waitUntilGone(_ member: String) async throws {
        let (results, watch) = try await client.flight(watching: member) { [.data(path: member, watch: $0)] }
        switch results[0] {
        case .success: try await watch.wait()
        case .failure(let error) where error.code == .noNode: return
        case .failure(let error): throw error
        }
    }

    /// Whoever sees the barrier empty removes `ready`; that somebody else does is no matter.
    private func forgetReady(ifEmpty names: Set<String>) async {
        guard names.isEmpty else { return }
        try? await client.delete(readyPath)
    }

    private func makeBackoff() -> Backoff {
        Backoff(initial: .milliseconds(20), cap: .seconds(2), seed: client.randomness.next())
    }
}
