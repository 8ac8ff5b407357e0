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
/// Curator members may take part. Their `leave()` returns when all of this package's participants have left, as long as one
/// Curator member at least lives; it returns early if the last of them dies inside. It may also return while another Curator
/// member is inside. Both are so among Curator members alone.
///
/// - A round begins with the write of `ready`, once enough participants have entered since the round before. One of them
///   writes it, in a transaction that fails if another one has. The participants of the round are those who had entered
///   by then, and nobody else passes. A `ready` that an earlier round has left behind lets nobody pass.
/// - A round does not begin while a participant of an earlier one exists, whatever has kept that one. A participant that has
///   left before the others and enters again therefore waits for them.
/// - Only ephemeral znodes count. Other children, such as subdirectories and persistent znodes, are ignored.
/// - A participant whose session ends while it waits enters again in the next session, under the same name. One whose session
///   ends after its round has begun is out of it: its operation is cancelled, and ``withBarrier(waitingAtMost:leavingAtMost:_:)``
///   throws. Its znode is not created again.
/// - Leaving waits for the participants of the same round, not for a next one. A participant whose session ends has left with
///   it. On every way out the own znode is deleted.
public final class DoubleBarrier: Sendable {
    /// The barrier's directory.
    public let path: String
    /// How many must enter.
    public let participants: Int
    private let client: ZooKeeperClient
    private static let readyName = "ready"
    /// Sorts after all names that Curator gives, which are hexadecimal.
    ///
    /// The member with the lowest name keeps its znode until it is alone: Curator's others return from leaving when that has
    /// gone. This package's participants delete theirs at once, so none may be the lowest beside a Curator member.
    private static let namePrefix = "participant-"

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

    private func path(of name: String) -> String { ZNodePath.child(name, of: path) }

    /// Enters, runs an operation, and leaves.
    ///
    /// The operation's task is cancelled if this participant's znode goes with its session or is deleted by somebody: the
    /// others take it for left, and a next round may begin. The client learns of that on its next connection, not before.
    ///
    /// - Parameters:
    ///   - patience: The longest time to wait for the others to enter; `nil` waits without limit.
    ///   - leavePatience: The longest time to wait for the others to leave; `nil` waits without limit.
    ///   - operation: Runs when all have entered, in a child task. When it throws, this participant leaves without waiting for
    ///     the others. It is kept to its end: a cancellation or graceful shutdown does not delete the znode before.
    /// - Returns: What the operation returned.
    /// - Throws: ``RecipeError`` with code `.timedOut`, for entering or leaving; `ZooKeeperError` with code
    ///   `.sessionExpired` or `.noNode` if this participant's znode was gone before the operation had ended, or when the round
    ///   began; any other `ZooKeeperError` that will last, such as `.noAuth`, `.noChildrenForEphemerals`, `.noNode` for a missing
    ///   chroot, `.clientStopped`; `CancellationError`; or the error of `operation`. The own znode is gone in any case, or
    ///   goes on the next connection or with its session.
    /// - Complexity: To enter, four requests in two round trips, and three when the round has begun; the last one sends one more
    ///   for each other child, and one to begin the round. Six to leave, four for each participant that is waited for, and one
    ///   to remove `ready`.
    public func withBarrier<Result: Sendable>(
        waitingAtMost patience: Duration? = nil,
        leavingAtMost leavePatience: Duration? = nil,
        _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let name = Self.namePrefix + ContenderName.makeUUID(using: client.randomness)
        let node = try PersistentNode(path(of: name), client: client, logger: client.logger)
        let (result, passed) = try await running(node) {
            let passed = try await client.within(patience, of: .barrier, at: path) {
                try await self.enter(node, as: name)
            }
            return (try await run(operation, inside: node), passed)
        }
        try await client.within(leavePatience, of: .barrier, at: path) { try await self.leave(passedAt: passed) }
        return result
    }

    private enum Step<Value: Sendable>: Sendable {
        case ended(Swift.Result<Value, any Error>)
        case lost
        case notLost
    }

    /// Runs an operation, which is cancelled when the own znode is gone.
    private func run<Value: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Value, inside node: PersistentNode
    ) async throws -> Value {
        let result = await withTaskGroup(of: Step<Value>.self) { group -> Swift.Result<Value, any Error>? in
            group.addTask {
                do { return .ended(.success(try await operation())) } catch { return .ended(.failure(error)) }
            }
            group.addTask { (try? await node.waitForLoss()) == nil ? .notLost : .lost }
            var result: Swift.Result<Value, any Error>?
            for await step in group {
                if case .ended(let ended) = step { result = ended }
                if case .notLost = step { continue }
                group.cancelAll()
            }
            return result
        }
        if let loss = node.loss { throw loss }
        guard let result else { throw CancellationError() }
        return try result.get()
    }

    // MARK: Entering

    /// Waits until the round of this participant begins.
    ///
    /// - Returns: The write of `ready` that began it: whoever enters after that takes part in another round.
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

    /// What a participant that has entered finds at the barrier.
    private enum Finding {
        /// The round has begun with this write of `ready`.
        case begun(ZXID)
        /// Another look will find something else.
        case changed
        /// Nothing, until one of these watches fires.
        case waiting([OneShotWatch])
    }

    /// Looks whether the round has begun, and begins it if everybody is there.
    private func look(as name: String, own: ZNodeStat, enteredAt entered: ZXID) async throws -> Finding {
        let (results, watch) = try await client.flight(watching: readyPath) { sink in
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
            let (results, watch) = try await client.flight(watching: member) { [.exists(path: member, watch: $0)] }
            watches.append(watch)
            guard try results[0].existingStat != nil else { return .changed }
        case .complete:
            // When another one has begun it, or something has gone, the watches fire or the own znode is another.
            if try await begin(as: name, after: ready) { return .changed }
        }
        isWaiting = true
        return .waiting(watches)
    }

    /// The error for a participant whose round has begun without its current znode.
    private func missedRound(_ first: ZNodeStat, _ own: ZNodeStat, at path: String) -> ZooKeeperError {
        ZooKeeperError(
            first.ephemeralOwner == own.ephemeralOwner && own.czxid != first.czxid ? .noNode : .sessionExpired,
            path: path,
            message: "the participant's znode was gone when its round began; it can enter again")
    }

    /// Waits until a watch has fired, or the own znode was created again: it may be the one that was missing, and nobody else
    /// looks.
    ///
    /// - Throws: The error for which the ensemble refuses to have the own znode created again.
    private func wait(for watches: [OneShotWatch], orAnother node: PersistentNode, than own: ZXID) async throws {
        defer { for watch in watches { watch.giveUp() } }
        var waits: [@Sendable () async throws -> Void] = watches.map { watch in { try await watch.wait() } }
        waits.append {
            for await state in node.states {
                if case .standing(let znode) = state, znode.stat.czxid != own { return }
                if case .refused(let error) = state { throw error }
            }
            try Task.checkCancellation()
            throw RecipeError(.stopped, in: .group, path: node.path)
        }
        try await race(among: waits)
    }

    /// Who has entered for the round that comes next.
    private enum Gathering {
        case incomplete
        /// Enough, but this participant of an earlier round still exists.
        case blocked(by: String)
        case complete
    }

    /// Counts the participants of the next round: those whose znodes were created after the last one had begun.
    ///
    /// As long as there are too few children, no request is needed for that.
    private func gathering(
        of names: [String], as name: String, after ready: ZNodeStat?
    ) async throws -> Gathering {
        guard names.count >= participants, names.contains(name) else { return .incomplete }
        let others = names.filter { $0 != name }
        let stats = try await client.liveSession().flight(others.map { .exists(path: path(of: $0)) })
        var count = 1
        var earlier: String?
        for (other, result) in zip(others, stats) {
            guard let stat = try result.existingStat, stat.ephemeralOwner != nil else { continue }
            if let ready, stat.czxid < ready.mzxid { earlier = other } else { count += 1 }
        }
        guard count >= participants else { return .incomplete }
        return earlier.map { .blocked(by: path(of: $0)) } ?? .complete
    }

    /// Begins a round by creating `ready`, or by writing the one that an earlier round has left.
    ///
    /// A new one is written as well: it does not have the version of one that somebody else has created and is deleting.
    ///
    /// - Returns: `false` if `ready` is not as it was seen, or the own znode is gone. Nobody can begin a round that somebody
    ///   else has begun already.
    private func begin(as name: String, after ready: ZNodeStat?) async throws -> Bool {
        let write = TransactionOperation.setData([], at: readyPath, version: ready?.dataVersion ?? 0)
        let writes = ready == nil ? [.create(readyPath), write] : [write]
        switch try await client.flight(.multi([.check(path(of: name))] + writes))[0] {
        case .success: return true
        case .failure(let error) where [.nodeExists, .badVersion, .noNode].contains(error.code): return false
        case .failure(let error): throw error
        }
    }

    // MARK: Leaving

    /// Waits until all participants of this round have gone; the own znode has been deleted.
    ///
    /// - Parameter passed: The write of `ready` that began the round. Who has entered after it, also again under the same
    ///   name, waits for this participant's next round and must not be waited for.
    private func leave(passedAt passed: ZXID) async throws {
        var later: Set<ZNodeName> = []
        var foreign: Set<ZNodeName> = []
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                let results = try await client.liveSession().flight(
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

    /// Waits until something happens to a participant of the round that a transaction began; returns at once for a child that
    /// is none.
    private func waitUntilGone(_ member: String, enteredBy passed: ZXID) async throws -> Departure {
        let (results, watch) = try await client.flight(watching: member) { [.exists(path: member, watch: $0)] }
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

    /// Whoever sees the barrier empty removes the `ready` that stood before; that somebody else does is no matter.
    ///
    /// The next round may have begun meanwhile. It writes a `ready` that it finds, which this one's version tells; one that
    /// it has created has the same version only if it was opened while this request was on its way, and after somebody else
    /// had removed the one before.
    private func forget(_ ready: ZNodeStat) async {
        try? await client.delete(readyPath, version: ready.dataVersion)
    }
}

extension SessionResult {
    /// The stat of a znode that was asked for; `nil` if there is none.
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
