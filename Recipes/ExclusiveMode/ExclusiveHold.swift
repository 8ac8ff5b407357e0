public import ZooKeeper

/// A hold, with which an operator keeps every processor of an exclusive mode paused.
///
/// A hold is persistent: it outlives the operator's session, restarts of processors, and restarts of the ensemble. It
/// ends when it is removed. See ``ExclusiveMode/hold(reason:id:)``.
public struct ExclusiveHold: Sendable, Hashable {
    /// The ID of the owner, who has at most one hold of an exclusive mode.
    public var participantID: String
    /// The purpose of the hold.
    public var reason: String
    /// The time since when the owner has the hold, by the ensemble's clock.
    public var since: Timestamp
}

extension ExclusiveMode {
    /// Keeps every processor paused until the hold is removed.
    ///
    /// ```swift
    /// try await mode.hold(reason: "migration of the database", id: "ada")
    /// try await mode.waitUntilPaused(timeout: .seconds(60))
    /// try await migrate()
    /// try await mode.removeHold("ada")
    /// ```
    ///
    /// This method returns when no further processor can resume. Processors that are running pause as for a window;
    /// ``waitUntilPaused(timeout:)`` waits for them. Processors that start during a hold pause as well, also those that
    /// use an older version of this package or Curator. Several owners may have a hold at the same time: processors
    /// resume when the last one is removed.
    ///
    /// A window may open during a hold, and the processors stay paused when it ends. A hold that begins while a window
    /// is requested or open takes effect when that window ends, and no processor resumes in between. If that window
    /// crashes, the first gate that finds the hold creates the signal. Until then, processors that use an older version
    /// or Curator may run, and so may a gate that had no connection during the whole window. Calling this method again
    /// creates the signal as well.
    ///
    /// If the owner has a hold already, its reason is replaced. After a lost connection or a cancellation, the call may
    /// be repeated.
    ///
    /// - Parameters:
    ///   - reason: The purpose of the hold, shown by ``status()``.
    ///   - id: The ID of the owner, which must be a valid name of a znode; `nil` uses the host name and process ID.
    ///     Default: `nil`.
    /// - Returns: Whether the hold is new; `false` if the owner had one.
    /// - Throws: ``RecipeError`` with code `.invalidArgument` if the ID is no valid name; `ZooKeeperError`, such as
    ///   `.noAuth` or `.clientStopped`; `CancellationError`, after which the hold may exist.
    /// - Complexity: 6 requests in 2 round trips, and as many after each concurrent change of the holds. Each gate
    ///   sends as many requests as for a window.
    @discardableResult
    public func hold(reason: String, id: String? = nil) async throws -> Bool {
        let owner = id ?? ProcessIdentity.current.description
        if let problem = ExclusiveHold.problem(ofOwner: owner) {
            throw RecipeError(.invalidArgument, in: .exclusiveMode, path: path, message: problem)
        }
        let (mode, record) = (self, HoldRecord(owner: owner, reason: reason).bytes)
        return try await client.recipeSteps { try await mode.perform(.hold(owner, record)) }
    }

    /// Removes the hold of an owner; if it was the last one, the processors resume.
    ///
    /// While a window is open, the last hold is not removed: this method waits for the end of the window, during which
    /// no processor could resume anyway. If the call ends before that, the hold remains.
    ///
    /// - Parameters:
    ///   - id: The ID of the owner.
    ///   - timeout: The limit for the wait; `nil` waits without limit. Default: `nil`.
    /// - Returns: Whether the owner had a hold.
    /// - Throws: ``RecipeError`` with code `.timedOut`, after which the hold remains, unless the answer of the ensemble
    ///   was lost; `ZooKeeperError`, such as `.noAuth`, `.clientStopped`, or `.notEmpty` if the signal has a child that is
    ///   no window; `CancellationError`.
    /// - Complexity: 6 requests in 2 round trips, and as many after each concurrent change of the holds. If a window is
    ///   open, 1 more, and 5 at the end of each window. Each gate sends as many requests as after a window.
    @discardableResult
    public func removeHold(_ id: String, timeout: Duration? = nil) async throws -> Bool {
        guard ExclusiveHold.problem(ofOwner: id) == nil else { return false }
        let mode = self
        return try await client.within(timeout, of: .exclusiveMode, at: path) { try await mode.perform(.remove(id)) }
    }

    /// Returns the holds, the oldest first.
    ///
    /// - Returns: The holds; empty if there are none.
    /// - Throws: `ZooKeeperError`, such as `.noAuth` or `.clientStopped`; `CancellationError`.
    /// - Complexity: 1 request, and 1 for each hold in a second round trip.
    public func holds() async throws -> [ExclusiveHold] {
        let mode = self
        return try await client.recipeSteps {
            let session = try await mode.client.connectedSession()
            let listing = try await session.sendAll(.children(path: mode.windowsPath))[0].replyIfExists()
            return try await mode.holds(among: listing?.children.names ?? [], in: session)
        }
    }

    /// Waits until every processor has paused for a window or a hold.
    ///
    /// - Parameter timeout: The limit for the wait; `nil` waits without limit. Default: `nil`.
    /// - Throws: ``RecipeError`` with code `.notPaused` and the processors that have not paused in time; in contrast to
    ///   a window, the hold remains. There are no processors in the error if the ensemble does not name them within 1 s
    ///   after the timeout. `.notFound` if there is no window and no hold, or no more. `ZooKeeperError`, such as
    ///   `.noAuth`; `CancellationError`.
    /// - Complexity: 3 requests in 3 round trips, and as many each time after some processors have paused or joined.
    ///   After the timeout, those of ``status()``.
    public func waitUntilPaused(timeout: Duration? = nil) async throws {
        let mode = self
        guard let timeout else { return try await client.recipeSteps { try await mode.awaitPause() } }
        let hasPaused: Void? = try await client.recipeSteps(until: client.clock.now + timeout) {
            try await mode.awaitPause()
        }
        guard hasPaused == nil else { return }
        let status = try await client.recipeSteps(until: client.clock.now + .seconds(1)) { try await mode.status() }
        guard let status else {
            throw RecipeError(
                .notPaused, in: .exclusiveMode, path: path,
                message: "the ensemble does not answer, so it is not known which processors have paused")
        }
        guard status.isPauseRequested else { throw nothingToPauseFor }
        let left = status.notPaused
        guard !left.isEmpty else { return }
        throw RecipeError(.notPaused, in: .exclusiveMode, path: path, participants: left.map(\.id))
    }

    private var nothingToPauseFor: RecipeError {
        RecipeError(
            .notFound, in: .exclusiveMode, path: path, message: "there is no hold, and no window is requested")
    }

    /// Waits until there is a signal and no processor holds the read lock.
    private func awaitPause() async throws {
        while true {
            let (signal, signalWatch) = try await client.watchExistence(at: signalPath, share: nil)
            var watches = [signalWatch]
            defer { for watch in watches { watch.cancel() } }
            if signal == nil {
                // After the crash of a window, a gate creates the signal of the holds. Each change of these writes this
                // znode.
                watches.append(try await client.watchExistence(at: windowsPath, share: nil).watch)
                guard try await !holds().isEmpty else { throw nothingToPauseFor }
            } else {
                do {
                    let (names, _, watch) = try await client.watchChildren(of: locksPath, share: nil)
                    watches.append(watch)
                    if !names.contains(where: { ContenderName($0)?.kind == .read }) { return }
                } catch let error as ZooKeeperError where error.code == .noNode {
                    // The server removes the directory some time after the last processor has left.
                    return
                }
            }
            _ = try await race(among: watches.map { watch in { try await watch.event() } })
        }
    }

    /// Reads the holds among the children of `BASE/windows`.
    func holds(among names: [String], in session: SessionHandle) async throws -> [ExclusiveHold] {
        let owners = ExclusiveHold.owners(among: names)
        let found = try await session.sendAll(owners.map { .data(path: holdPath($0)) })
        return try zip(owners, found).compactMap { owner, result -> ExclusiveHold? in
            // A hold without permission to read it exists nevertheless.
            if case .failure(let error) = result, error.code == .noAuth {
                return ExclusiveHold(
                    participantID: owner, reason: "", since: Timestamp(millisecondsSince1970: 0))
            }
            guard let (data, stat) = try result.replyIfExists()?.data else { return nil }
            return ExclusiveHold(participantID: owner, reason: HoldRecord(data).reason, since: stat.ctime)
        }
        .sorted { ($0.since, ZNodeName($0.participantID)) < ($1.since, ZNodeName($1.participantID)) }
    }
}

// The znodes of holds.
extension ExclusiveHold {
    private static let prefix = "hold-"

    static func isName(_ name: String) -> Bool { name.hasBytePrefix(prefix) }

    /// Returns the owners of the holds among the children of `BASE/windows`, sorted.
    static func owners(among names: [String]) -> [String] {
        names.filter(isName).map { String(decoding: $0.utf8.dropFirst(prefix.utf8.count), as: UTF8.self) }
            .sorted { ZNodeName($0) < ZNodeName($1) }
    }

    static func name(ofOwner owner: String) -> String { prefix + owner }

    /// Returns the reason why an ID cannot own a hold, or `nil` if it can.
    package static func problem(ofOwner owner: String) -> String? {
        ZNodeName.refusal(of: owner, as: "the owner of a hold")
    }
}

extension ExclusiveMode {
    func holdPath(_ owner: String) -> String {
        ZNodePath.child(ExclusiveHold.name(ofOwner: owner), of: windowsPath)
    }
}

/// The data of a hold's znode.
struct HoldRecord: Sendable, Equatable {
    var owner: String
    var reason: String

    init(owner: String, reason: String) {
        (self.owner, self.reason) = (owner, reason)
    }

    init(_ data: [UInt8]) {
        let text = KeyValueData(data)
        (owner, reason) = (text["owner"] ?? "", text["reason"] ?? "")
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        text["owner"] = owner
        text["reason"] = reason
        // Older versions read all children of `BASE/windows`: this is not a window that crashed.
        text["records"] = "no"
        return text.bytes
    }
}
