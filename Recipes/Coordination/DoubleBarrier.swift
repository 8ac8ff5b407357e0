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
/// - Leaving waits for those who had entered when this participant was let through, not for a next round. One whose
///   session ends has left with it. On every way out the own znode is deleted.
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
    /// - Complexity: Four requests in two flights to enter, and three when the others have come, or two for the last one;
    ///   six to leave, four for each participant that is waited for, and one to remove `ready`.
    public func withBarrier<Result: Sendable>(
        waitingAtMost patience: Duration? = nil,
        leavingAtMost leavePatience: Duration? = nil,
        _ operation: () async throws -> Result
    ) async throws -> Result {
        let name = ContenderName.makeUUID(using: client.randomness)
        let node = try PersistentNode(path(of: name), client: client, logger: client.logger)
        let (result, passed) = try await running(node) {
            let passed = try await client.within(patience, at: path) { try await self.enter(node) }
            return (try await operation(), passed)
        }
        try await client.within(leavePatience, at: path) { try await self.leave(passedAt: passed) }
        return result
    }

    // MARK: Entering

    /// Until enough have entered.
    ///
    /// - Returns: The transaction that let it pass: whoever enters after that takes part in another round.
    private func enter(_ node: PersistentNode) async throws -> ZXID {
        try await refusal(of: node) {
            var entered: ZXID?
            var backoff = self.makeBackoff()
            while true {
                try await node.waitUntilStanding()
                let present = node.state.znode?.stat.czxid
                // It has entered once, through all of its sessions.
                guard let first = entered ?? present else { continue }
                entered = first
                let (results, watch) = try await self.client.flight(watching: self.readyPath) { sink in
                    [.exists(path: self.readyPath, watch: sink), .children(path: self.path)]
                }
                do {
                    if let passed = try await self.mayPass(results, enteredAt: first) {
                        watch.giveUp()
                        return passed
                    }
                    try await self.wait(for: watch, orAnother: node, than: present)
                    backoff.reset()
                } catch let error as ZooKeeperError {
                    watch.giveUp()
                    guard error.wasInterrupted else { throw error }
                    try await self.client.clock.sleep(until: self.client.clock.now + backoff.pause())
                }
            }
        }
    }

    /// Until a watch has fired, or the own znode stands anew: it may be the one that was missing, and nobody else looks.
    private func wait(for watch: AwaitedWatch, orAnother node: PersistentNode, than present: ZXID?) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await watch.wait() }
            group.addTask {
                for await state in node.states {
                    if case .standing(let znode) = state, znode.stat.czxid != present { return }
                }
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Whether `ready` was written since this participant entered, or enough stand; gives the transaction that shows it.
    private func mayPass(_ results: [SessionResult], enteredAt entered: ZXID) async throws -> ZXID? {
        switch results[0] {
        case .success(.stat(let ready)) where ready.mzxid > entered: return ready.mzxid
        case .failure(let error) where error.code != .noNode: throw error
        default: break
        }
        switch results[1] {
        case .success(.children(let names, let stat)):
            guard names.count(where: { $0 != Self.readyName }) >= participants else { return nil }
            try await openUp()
            return stat.pzxid
        case .failure(let error) where error.code != .noNode: throw error
        default: return nil
        }
    }

    /// Tells the others; a `ready` that stands from before is written, which tells them as well.
    ///
    /// Who passes without that leaves the others waiting: they would see one less.
    private func openUp() async throws {
        while true {
            let results = try await client.flight(
                .create(path: readyPath, data: [], mode: .persistent), .setData(path: readyPath, data: []))
            if case .failure(let error) = results[0], error.code != .nodeExists { throw error }
            switch results[1] {
            case .success: return
            // Somebody has just removed that of an earlier round.
            case .failure(let error) where error.code == .noNode: continue
            case .failure(let error): throw error
            }
        }
    }

    /// Runs an operation until the node is refused by the ensemble for good.
    private func refusal<Result: Sendable>(
        of node: PersistentNode, _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result.self) { group in
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
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }

    // MARK: Leaving

    /// Until everybody has gone who stood when this participant was let through; the own znode has been deleted.
    ///
    /// - Parameter passed: The transaction that let it pass. Who has entered after it, also again under the same name,
    ///   waits for this participant's next round and must not be waited for.
    private func leave(passedAt passed: ZXID) async throws {
        var later: Set<ZNodeName> = []
        var backoff = makeBackoff()
        while true {
            do {
                let results = try await client.flight(
                    .sync(path: path), .exists(path: readyPath), .children(path: path))
                let names = try members(in: results[2])
                guard let next = names.subtracting(later).min()?.string else {
                    if names.isEmpty, let ready = try results[1].readyStat { await forget(ready) }
                    return
                }
                if try await waitUntilGone(path(of: next), enteredBy: passed) { later.insert(next) }
                backoff.reset()
            } catch let error as ZooKeeperError where error.wasInterrupted {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    private func members(in result: SessionResult) throws -> Set<ZNodeName> {
        switch result {
        case .success(.children(let names, _)): return Set(names: names.filter { $0 != Self.readyName })
        case .failure(let error) where error.code == .noNode: return []
        case .failure(let error): throw error
        default: return []
        }
    }

    /// Until something happens to a member that has entered by a transaction; at once when it has entered later.
    ///
    /// - Returns: Whether it has entered later.
    private func waitUntilGone(_ member: String, enteredBy passed: ZXID) async throws -> Bool {
        let (results, watch) = try await client.flight(watching: member) { [.data(path: member, watch: $0)] }
        switch results[0] {
        case .success(.data(_, let stat)) where stat.czxid > passed:
            watch.giveUp()
            return true
        case .success: try await watch.wait()
        case .failure(let error) where error.code == .noNode: break
        case .failure(let error): throw error
        }
        return false
    }

    /// Whoever sees the barrier empty removes the `ready` that stood before; that somebody else does is no matter.
    ///
    /// The next round may have begun meanwhile. It writes a `ready` that it finds, which this one's version tells; one that
    /// it has created has the same version only if it was opened while this request was on its way, and after somebody else
    /// had removed the one before.
    private func forget(_ ready: ZNodeStat) async {
        try? await client.delete(readyPath, version: ready.dataVersion)
    }

    private func makeBackoff() -> Backoff {
        Backoff(initial: .milliseconds(20), cap: .seconds(2), seed: client.randomness.next())
    }
}

extension SessionResult {
    /// The stat of a `ready` that was asked for; `nil` when there was none.
    fileprivate var readyStat: ZNodeStat? {
        get throws {
            switch self {
            case .success(let reply): try reply.stat
            case .failure(let error) where error.code == .noNode: nil
            case .failure(let error): throw error
            }
        }
    }
}
