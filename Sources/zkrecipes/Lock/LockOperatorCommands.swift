import ArgumentParser
import CommandLineSupport
import ZooKeeper
import ZooKeeperRecipes

/// A lock whose holders operators ask to release it, or evict.
private protocol OperatedLock: Sendable {
    func queue() async throws -> [LockQueueEntry]
    func requestRelease(from entry: LockQueueEntry, reason: String) async throws -> Bool
}

extension DistributedMutex: OperatedLock {}
extension DistributedReadWriteLock: OperatedLock {}
extension DistributedSemaphore: OperatedLock {}

/// The arguments that select holders of a lock.
struct LockHolderOptions: ParsableArguments {
    @Argument(help: LockCommand.pathHelp, transform: LockCommand.parse)
    var path: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var operation: OperatorOptions

    @Option(help: "The ID of the holder, or the name of its znode, which `zkrecipes status` prints.")
    var holder: String?

    /// Returns the lock at the path.
    ///
    /// - Throws: `ValidationError` if the participants at the path use another recipe.
    fileprivate func lock(_ client: ZooKeeperClient) async throws -> any OperatedLock {
        let names = try await client.listing(of: path).names
        let hasEpoch = try await client.exists(at: path + "-epoch") != nil
        switch RecipeKind.recognized(byChildren: names, hasEpoch: hasEpoch) {
        case .mutex, nil: return try DistributedMutex(client: client, path: path, id: operation.operatorID)
        case .readWriteLock:
            let parent = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[..<$0]) } ?? ""
            if path.hasSuffix("/locks"), !parent.isEmpty,
                RecipeKind.recognized(byChildren: try await client.listing(of: parent).names, hasEpoch: false)
                    == .exclusiveMode
            {
                throw ValidationError(
                    "PATH \(Text.quoted(path)) belongs to the exclusive mode at \(parent): use "
                        + "`zkrecipes exclusive evict \(parent)`")
            }
            return try DistributedReadWriteLock(client: client, path: path, id: operation.operatorID)
        case .semaphore: return try DistributedSemaphore(client: client, path: path, id: operation.operatorID)
        case .leaderElection, .leaderLatch:
            throw ValidationError(
                "PATH \(Text.quoted(path)) is a leader election: use `zkrecipes leader resign \(path)`")
        case .some(let kind):
            throw ValidationError("PATH \(Text.quoted(path)) is a \(kind.title), not a lock: check the path")
        }
    }

    /// Returns the selected holders, at least one.
    fileprivate func holders(of lock: any OperatedLock, _ client: ZooKeeperClient) async throws -> [LockQueueEntry] {
        let queue = try await lock.queue()
        let (all, evictions) = (queue.filter(\.isHolder), queue.filter { $0.eviction != nil })
        guard !all.isEmpty else {
            if let eviction = evictions.first.flatMap(EvictionInProgress.init) { throw eviction }
            throw try await NothingThere("no holders", at: path, client)
        }
        guard let holder else { return all }
        let selected = all.filter { $0.isNamed(holder) }
        guard !selected.isEmpty else {
            let named = evictions.first {
                $0.isNamed(holder) || $0.eviction?.participantID.hasBytes(of: holder) == true
            }
            if let eviction = named.flatMap(EvictionInProgress.init) { throw eviction }
            throw ValidationError(
                "--holder \(Text.quoted(holder)): it does not hold \(path), which is held by "
                    + all.map(\.title).joined(separator: ", "))
        }
        return selected
    }
}

extension LockQueueEntry {
    /// The name of the znode.
    fileprivate var znode: String {
        path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[path.utf8.index(after: $0)...]) } ?? path
    }

    /// Whether this is the ID of the participant, or the name of its znode.
    fileprivate func isNamed(_ name: String) -> Bool { participantID.hasBytes(of: name) || znode.hasBytes(of: name) }

    /// The participant's ID, and its znode for participants with the same ID.
    fileprivate var title: String { "\(participantID.isEmpty ? "a holder without an ID" : participantID) (\(znode))" }
}

struct LockReleaseRequestCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "release-request",
        abstract: "Asks the holders of a lock to release it, and waits for that.",
        discussion: """
            The program of a holder decides: it finds the request with the operator and the reason in \
            `Lease.releaseRequests`. `zkrecipes lock` reports the request, and continues. The request is withdrawn when \
            this command ends. Holders that use another library, such as Curator's, do not read it.

            \(HelpText.example("zkrecipes lock release-request /locks/invoices --reason \"maintenance at noon\""))

            \(HelpText.exitStatus([
                "0": "all holders that were asked have released the lock",
                "1": "a holder has not released it in time, or there is none",
                "64": "invalid option or argument",
            ]))
            """)

    @OptionGroup var target: LockHolderOptions

    @Option(
        "Give up if a holder has not released the lock after this time.",
        in: .milliseconds(1)...DurationArgument.oneDay)
    var timeout = DurationArgument.seconds(30)

    var connection: ConnectionOptions { target.connection }
    var operation: OperatorOptions { target.operation }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let lock = try await target.lock(client)
        let holders = try await target.holders(of: lock, client)
        let names = holders.map(\.title).joined(separator: ", ")
        return OperatorAction(description: "ask \(names) to release \(target.path)") {
            try await request(from: holders, of: lock, client)
        }
    }

    private func request(
        from holders: [LockQueueEntry], of lock: any OperatedLock, _ client: ZooKeeperClient
    ) async throws -> OperatorAction.Outcome {
        let session = try await client.connectedSession().id
        for holder in holders { _ = try await lock.requestRelease(from: holder, reason: target.operation.reason) }
        let end = client.clock.now + timeout.duration
        var outcome = OperatorAction.Outcome(results: [])
        for holder in holders {
            let hasLeft: Void? = try await client.clock.run(until: end) {
                try await client.awaitDeletion(of: holder.path)
            }
            let refusal = hasLeft == nil ? try await refusal(of: holder, in: session, client) : nil
            if let refusal, try await client.exists(at: holder.path) != nil {
                outcome.problems.append(refusal)
            } else {
                outcome.results.append("\(holder.title) has released the lock")
            }
        }
        return outcome
    }

    /// Withdraws the request to a holder that has not released the lock in time, and returns the text about it.
    ///
    /// - Parameter session: The session in which the request was sent.
    private func refusal(
        of holder: LockQueueEntry, in session: SessionID, _ client: ZooKeeperClient
    ) async throws -> String {
        switch try await Self.isUnread(by: holder, in: session, client) {
        case true:
            "\(holder.title) has not read the request within \(timeout): its program hangs, or does not use this "
                + "package; the request is withdrawn"
        case false: "\(holder.title) has read the request, but still holds the lock after \(timeout)"
        case nil:
            "\(holder.title) still held the lock after \(timeout), and it is not known whether it has read the request"
        }
    }

    /// Withdraws the request to a holder, which deletes a request that it reads.
    ///
    /// - Returns: Whether the holder has not read the request; `nil` if that is not known.
    private static func isUnread(
        by holder: LockQueueEntry, in session: SessionID, _ client: ZooKeeperClient
    ) async throws -> Bool? {
        let directory = ContenderRequest.directory(
            ofQueue: String(holder.path.dropLast(holder.znode.count + 1)))
        for name in try await client.listing(of: directory).names where name.hasPrefix(holder.znode + ".") {
            let path = ZNodePath.child(name, of: directory)
            guard try await client.exists(at: path)?.ephemeralOwner == session else { continue }
            do {
                try await client.delete(path)
                return true
            } catch let error as ZooKeeperError where error.code == .noNode {
                continue
            } catch let error as ZooKeeperError where error.isOutcomeUnknown {
                return nil
            }
        }
        // A request of a former session has ended with it.
        return try await client.connectedSession().id == session ? false : nil
    }
}

struct LockEvictCommand: OperatorCommand {
    static let configuration = CommandConfiguration(
        commandName: "evict",
        abstract: "Takes a lock away from a holder that cannot be asked, and waits until it must have ended.",
        discussion: """
            The znode of the holder is deleted, and a placeholder takes its place in the queue in the same transaction. \
            A connected holder loses the lock at once, one that is frozen or cut off at its deadline. The placeholder \
            blocks the next participant until that must have happened: for the longest session timeout that the servers \
            allow, or for --holder-session-timeout. If this program is killed, the servers keep the placeholder for that \
            time. A signal ends the command only before the transaction is sent, and then nothing is changed. Later it \
            does not end the wait.

            This client requests a session timeout of one hour, which the servers shorten to their limit. If a server of \
            --connect does not answer at all, name only the others: the attempt to connect to it takes as long.

            While the placeholder exists, other evictions in its place are refused. If another process deletes it, \
            the evicted holder and the next one may be valid at the same time; this command then says so, and fails.

            End the process of a holder that uses another library, such as Curator's, before: it does not notice the \
            eviction. Work that ignores its cancellation continues: a store that checks fencing tokens refuses it.

            Without a terminal, --yes is required.

            \(HelpText.example(
                "zkrecipes lock evict /locks/invoices --dry-run",
                "zkrecipes lock evict /locks/invoices --reason \"its host is down\" --yes"))

            \(HelpText.exitStatus([
                "0": "the holder is evicted, and the next participant can acquire the lock",
                "1": "no holder, an eviction in progress, a wait cut short, no connection",
                "64": "invalid option or argument, or --yes is missing",
            ]))
            """)

    @OptionGroup var target: LockHolderOptions

    @Option(
        "The session timeout of the holder. (default: the longest that the servers allow)",
        in: .milliseconds(100)...(.hours(1)))
    var holderSessionTimeout: DurationArgument?

    func validate() throws { try target.operation.requireConfirmation() }

    var connection: ConnectionOptions { target.connection }
    var operation: OperatorOptions { target.operation }

    func connection(from options: ConnectionOptions) -> ConnectionOptions {
        var options = options
        // The servers bound it. The placeholder must exist as long as the session of any holder, if this process ends.
        options.sessionTimeout = holderSessionTimeout ?? .hours(1)
        return options
    }

    func action(with client: ZooKeeperClient) async throws -> OperatorAction {
        let lock = try await target.lock(client)
        let holders = try await target.holders(of: lock, client)
        guard holders.count == 1 else {
            throw ValidationError(
                "\(target.path) has \(holders.count) holders: select one with --holder and the name of its znode: "
                    + holders.map(\.title).joined(separator: ", "))
        }
        let holder = holders[0]
        let wait = try await client.connectedSession().timeout
        return OperatorAction(
            description:
                "evict \(holder.title), session \(holder.session?.description ?? "unknown"), from \(target.path)",
            effects: [
                "The next participant can acquire the lock \(Text.seconds(wait)) later.",
                "A holder of another library, such as Curator's, does not notice this: end its process before.",
            ]
        ) {
            Output.notice("waiting \(Text.seconds(wait)) before the next participant can acquire the lock")
            let ignoredCancellation = OneShot<Void>()
            ignoredCancellation.observe {
                Output.notice(
                    "the wait continues: if it ended now, the holder and the next one could be valid together")
            }
            do {
                let isEvicted = try await LockEviction.run(
                    holder, requesterID: operation.operatorID, reason: operation.reason, client: client,
                    ignoredCancellation: ignoredCancellation)
                return isEvicted
                    ? OperatorAction.Outcome(results: ["\(holder.title) is evicted"])
                    : OperatorAction.Outcome(
                        results: [], problems: ["\(holder.title) has left in the meantime; nothing was changed"])
            } catch let error as RecipeError where error.code == .lost {
                return OperatorAction.Outcome(results: [], problems: [Self.cutShort(holder, error.lossReason)])
            } catch is CancellationError {
                // Nothing is held, and a request without an answer would delay the end by its session timeout.
                client.stopImmediately()
                throw EvictionInterrupted()
            } catch let error as RecipeError where error.code == .notAvailable {
                throw try await lock.queue().lazy.compactMap(EvictionInProgress.init).first ?? error
            }
        }
    }

    /// Returns the text about an eviction whose placeholder did not exist until the end of the wait.
    private static func cutShort(_ holder: LockQueueEntry, _ reason: LossReason?) -> String {
        let cause =
            reason == .sessionEnded
            ? "another process has ended the session of this client" : "another process has deleted the placeholder"
        return "\(holder.title) is evicted, but the wait was cut short, because \(cause): \(holder.title) and the next "
            + "holder may have been valid at the same time"
    }
}

/// The error of an eviction that a signal has ended in time.
private struct EvictionInterrupted: Error, CustomStringConvertible {
    let description = "interrupted: nothing was changed"
}
