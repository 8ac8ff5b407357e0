public import ZooKeeper

/// A barrier at which a number of processes start an operation together and end it together.
///
/// ```swift
/// let barrier = try DistributedDoubleBarrier(client: client, path: "/jobs/17/phase2", participantCount: 5)
/// try await barrier.withBarrier(timeout: .seconds(60), leaveTimeout: .seconds(600)) {
///     try await compute()
/// }
/// ```
///
/// The operation starts when the required number of participants has entered. The call returns when all of them have
/// left.
///
/// The znode layout is that of Apache Curator's `DistributedDoubleBarrier`: an ephemeral znode for each participant,
/// and `ready`. Curator members can take part. Their `leave()` returns when all participants that use this package have
/// left, as long as at least one Curator member is alive. If the last Curator member inside the barrier dies, `leave()`
/// returns early. It may also return while another Curator member is still inside. Both also happen if all members use
/// Curator.
///
/// - A round starts with the write of `ready`, after enough participants have entered since the previous round. One
///   participant writes it, in a transaction that fails if another one has written it. The participants that entered
///   before this write form the round, and no others pass. A `ready` left behind by an earlier round lets no
///   participant pass.
/// - A round does not start while a participant of an earlier round exists, for whatever reason. A participant that
///   leaves before the others and enters again therefore waits for them.
/// - Only ephemeral znodes count. Other children, such as subdirectories and persistent znodes, are ignored.
/// - If the session of a participant ends while it waits, it enters again in the next session under the same name. If
///   its session ends after its round has started, it is excluded from the round: its operation is cancelled,
///   ``withBarrier(timeout:leaveTimeout:_:)`` throws, and its znode is not created again.
/// - Leaving waits for the participants of the same round, not for those of the next one. A participant whose session
///   ends has left. However the call ends, the participant's znode is deleted.
public final class DistributedDoubleBarrier: Sendable {
    /// The path of the barrier's directory.
    public let path: String
    /// The number of participants that must enter before a round starts.
    public let participantCount: Int
    private let client: ZooKeeperClient
    private static let readyName = "ready"
    /// The prefix of participants' names, which sorts after the hexadecimal names that Curator creates.
    ///
    /// The member with the lowest name keeps its znode until it is alone, and Curator's other members return from
    /// `leave()` when that znode is gone. Participants that use this package delete their znodes immediately, so none
    /// of them may have the lowest name while there is a Curator member.
    private static let namePrefix = "participant-"

    /// Creates a barrier without sending a request.
    ///
    /// - Parameters:
    ///   - client: The client whose session owns the participant's znode. It must be running; until it runs, all calls
    ///     wait.
    ///   - path: The path of the barrier's directory. The directory and its parents are created as needed.
    ///   - participantCount: The number of participants that must enter, at least 1; the same for all participants.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument`.
    public init(client: ZooKeeperClient, path: String, participantCount: Int) throws {
        self.path = try ZNodePath(path).string
        guard participantCount > 0 else {
            throw RecipeError(
                .invalidArgument, in: .barrier, path: path,
                message: "participantCount is \(participantCount); it must be at least 1")
        }
        self.participantCount = participantCount
        self.client = client
    }

    private var readyPath: String { path(of: Self.readyName) }

    private func path(of name: String) -> String { ZNodePath.child(name, of: path) }

    /// Enters the barrier, runs an operation, and leaves the barrier.
    ///
    /// The operation's task is cancelled if this participant's znode is deleted, with its session or by another
    /// process. The other participants then assume that it has left, and the next round may start. The client notices
    /// the end of its session only on its next connection.
    ///
    /// - Parameters:
    ///   - timeout: The timeout for the other participants to enter. `nil` waits without limit.
    ///   - leaveTimeout: The timeout for the other participants to leave. `nil` waits without limit.
    ///   - operation: Runs in a child task after all participants have entered. If it throws, this participant leaves
    ///     without waiting for the others. The znode exists until the operation has ended: neither a cancellation nor a
    ///     graceful shutdown deletes it earlier.
    /// - Returns: The value that the operation returned.
    /// - Throws: ``RecipeError`` with code `.timedOut`, for entering or leaving; `ZooKeeperError` with code
    ///   `.sessionExpired` or `.noNode` if this participant's znode was deleted before the operation had ended, or did
    ///   not exist when the round started; any other permanent `ZooKeeperError`, such as `.noAuth`,
    ///   `.noChildrenForEphemerals`, `.noNode` for a missing chroot, `.clientStopped`; `CancellationError`; or the
    ///   error of `operation`. In every case, the participant's znode is deleted, or will be on the next connection or
    ///   with its session.
    /// - Complexity: Entering takes 4 requests in 2 round trips, and 3 when the round has started. The last participant
    ///   to enter sends 1 more for each other child, and 1 to start the round. Leaving takes 6 requests, 4 for each
    ///   participant that it waits for, and 1 to delete `ready`.
    public func withBarrier<Result: Sendable>(
        timeout: Duration? = nil,
        leaveTimeout: Duration? = nil,
        _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let name = Self.namePrefix + ContenderName.makeUUID(using: client.randomness)
        let node = try PersistentNode(client: client, path: path(of: name), logger: client.logger)
        let (result, passed) = try await running(node) {
            let passed = try await client.within(timeout, of: .barrier, at: path) {
                try await self.enter(node, as: name)
            }
            return (try await run(operation, inside: node), passed)
        }
        try await client.within(leaveTimeout, of: .barrier, at: path) { try await self.leave(passedAt: passed) }
        return result
    }

    /// Runs an operation, which is cancelled if the participant's znode is deleted.
    private func run<Value: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Value, inside node: PersistentNode
    ) async throws -> Value {
        let result = await outcome(of: operation) { try await node.waitForLoss() }
        if let loss = node.loss { throw loss }
        return try result.get()
    }

    // MARK: Entering

    /// Waits until the round of this participant starts.
    ///
    /// - Returns: The write of `ready` that started the round. Participants that enter after it belong to another
    ///   round.
    private func enter(_ node: PersistentNode, as name: String) async throws -> ZXID {
        var entered: ZNodeStat?
        var backoff = client.makeBackoff(.quick)
        while true {
            let own = try await node.standingZNode().stat
            let first = entered ?? own
            entered = first
            let finding: Finding
            do {
                finding = try await look(as: name, own: own, enteredAt: first.czxid)
            } catch let error as ZooKeeperError where error.isTransient {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
                continue
            }
            switch finding {
            case .begun(let passed) where passed > own.czxid && node.keepOnly(own.czxid): return passed
            case .begun: throw missedRound(first, own, at: node.path)
            case .changed: continue
            case .waiting(let watches):
                try await wait(for: watches, orAnother: node, than: own.czxid)
                backoff.reset()
            }
        }
    }

    /// The state of the barrier for a participant that has entered.
    private enum Finding {
        /// The round has started with this write of `ready`.
        case begun(ZXID)
        /// The state has changed and must be evaluated again.
        case changed
        /// Nothing has happened; evaluate the state again when one of these watches fires.
        case waiting([OneShotWatch])
    }

    /// Checks whether the round has started, and starts it if enough participants have entered.
    private func look(as name: String, own: ZNodeStat, enteredAt entered: ZXID) async throws -> Finding {
        let (results, watch) = try await client.sendAll(watching: readyPath) { sink in
            [.exists(path: self.readyPath, watch: sink), .children(path: self.path)]
        }
        var watches = [watch]
        var isWaiting = false
        defer { if !isWaiting { for watch in watches { watch.giveUp() } } }
        let ready = try results[0].existingStat
        if let ready, ready.mzxid > entered { return .begun(ready.mzxid) }
        switch try await gathering(of: members(in: results[1]), as: name, after: ready) {
        case .incomplete: break
        case .blocked(let member):
            let (results, watch) = try await client.sendAll(watching: member) { [.exists(path: member, watch: $0)] }
            watches.append(watch)
            guard try results[0].existingStat != nil else { return .changed }
        case .complete:
            // If another participant has started the round, or a znode was deleted, a watch fires, or the
            // participant's znode was created again.
            if try await begin(as: name, after: ready) { return .changed }
        }
        isWaiting = true
        return .waiting(watches)
    }

    /// Returns the error for a participant whose round has started without its current znode.
    private func missedRound(_ first: ZNodeStat, _ own: ZNodeStat, at path: String) -> ZooKeeperError {
        ZooKeeperError(
            first.ephemeralOwner == own.ephemeralOwner && own.czxid != first.czxid ? .noNode : .sessionExpired,
            path: path,
            message: "the participant's znode did not exist when its round started; enter again to join a later round")
    }

    /// Waits until a watch has fired, or the participant's znode was created again.
    ///
    /// The new znode may be the one that was missing to start the round, and no other participant checks it.
    ///
    /// - Throws: The error with which the ensemble refuses to create the participant's znode again.
    private func wait(for watches: [OneShotWatch], orAnother node: PersistentNode, than own: ZXID) async throws {
        defer { for watch in watches { watch.giveUp() } }
        var waits: [@Sendable () async throws -> Void] = watches.map { watch in { try await watch.wait() } }
        waits.append {
            for await state in node.states {
                if case .present(let znode) = state, znode.stat.czxid != own { return }
                if case .refused(let error) = state { throw error }
            }
            try Task.checkCancellation()
            throw RecipeError(.stopped, in: .group, path: node.path)
        }
        try await race(among: waits)
    }

    /// The participants that have entered for the next round.
    private enum Gathering {
        case incomplete
        /// Enough participants have entered, but this participant of an earlier round still exists.
        case blocked(by: String)
        case complete
    }

    /// Counts the participants of the next round: those whose znodes were created after the last round had started.
    ///
    /// If there are too few children, no request is sent.
    private func gathering(
        of names: [String], as name: String, after ready: ZNodeStat?
    ) async throws -> Gathering {
        guard names.count >= participantCount, names.contains(name) else { return .incomplete }
        let others = names.filter { $0 != name }
        let stats = try await client.connectedSession().sendAll(others.map { .exists(path: path(of: $0)) })
        var count = 1
        var earlier: String?
        for (other, result) in zip(others, stats) {
            guard let stat = try result.existingStat, stat.ephemeralOwner != nil else { continue }
            if let ready, stat.czxid < ready.mzxid { earlier = other } else { count += 1 }
        }
        guard count >= participantCount else { return .incomplete }
        return earlier.map { .blocked(by: path(of: $0)) } ?? .complete
    }

    /// Starts a round by creating `ready`, or by writing the one that an earlier round has left behind.
    ///
    /// A new `ready` is also written once. Its version then differs from that of a `ready` that another participant has
    /// created and is deleting.
    ///
    /// - Returns: `false` if `ready` has changed since it was read, or the participant's znode is gone. No participant
    ///   can start a round that another one has already started.
    private func begin(as name: String, after ready: ZNodeStat?) async throws -> Bool {
        let write = TransactionOperation.setData([], at: readyPath, version: ready?.dataVersion ?? 0)
        let writes = ready == nil ? [.create(readyPath), write] : [write]
        switch try await client.sendAll(.multi([.check(path(of: name))] + writes))[0] {
        case .success: return true
        case .failure(let error) where [.nodeExists, .badVersion, .noNode].contains(error.code): return false
        case .failure(let error): throw error
        }
    }

    // MARK: Leaving

    /// Waits until all participants of this round have left; this participant's znode has been deleted before.
    ///
    /// - Parameter passed: The write of `ready` that started the round. Participants that have entered after it, even
    ///   under the same name, wait for this participant's next round. This method must not wait for them.
    private func leave(passedAt passed: ZXID) async throws {
        var later: Set<ZNodeName> = []
        var foreign: Set<ZNodeName> = []
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                let results = try await client.connectedSession().sendAll(
                    behindBarrierAt: path, [.exists(path: readyPath), .children(path: path)])
                let names = Set(names: try members(in: results[1])).subtracting(foreign)
                guard let next = names.subtracting(later).min() else {
                    if names.isEmpty, let ready = try results[0].existingStat { await forget(ready) }
                    return
                }
                switch try await waitUntilGone(path(of: next.string), enteredBy: passed) {
                case .gone: break
                case .isLater: later.insert(next)
                case .isForeign: foreign.insert(next)
                }
                backoff.reset()
            } catch let error as ZooKeeperError where error.isTransient {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            }
        }
    }

    private func members(in result: SessionResult) throws -> [String] {
        switch result {
        case .success(.children(let names, _)): return names.filter { $0 != Self.readyName }
        case .failure(let error) where error.code == .noNode: return []
        case .failure(let error): throw error
        default: return []
        }
    }

    private enum Departure { case gone, isLater, isForeign }

    /// Waits for an event of a participant's znode, if the participant belongs to the round of a transaction.
    ///
    /// Returns immediately for a child that does not belong to the round.
    private func waitUntilGone(_ member: String, enteredBy passed: ZXID) async throws -> Departure {
        let (results, watch) = try await client.sendAll(watching: member) { [.exists(path: member, watch: $0)] }
        let stat: ZNodeStat?
        do { stat = try results[0].existingStat } catch {
            watch.giveUp()
            throw error
        }
        guard let stat, stat.ephemeralOwner != nil, stat.czxid <= passed else {
            watch.giveUp()
            return stat.map { $0.ephemeralOwner == nil ? .isForeign : .isLater } ?? .gone
        }
        try await watch.wait()
        return .gone
    }

    /// Deletes the `ready` of this round after the last participant has left; another participant may do the same.
    ///
    /// The next round may have started meanwhile. If it found this `ready` and wrote it, the version differs and
    /// nothing is deleted. If it created a new `ready`, the version is equal only if the round started while this
    /// request was on its way, after another participant had deleted the previous `ready`.
    private func forget(_ ready: ZNodeStat) async {
        try? await client.delete(readyPath, version: ready.dataVersion)
    }
}

extension SessionResult {
    /// The stat of a znode that was requested; `nil` if the znode does not exist.
    fileprivate var existingStat: ZNodeStat? {
        get throws {
            switch self {
            case .success(let reply): try reply.stat
            case .failure(let error) where error.code == .noNode: nil
            case .failure(let error): throw error
            }
        }
    }
}
