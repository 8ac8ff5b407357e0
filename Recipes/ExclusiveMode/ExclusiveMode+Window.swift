internal import Logging
internal import ZooKeeper

extension ExclusiveMode {
    /// Opens a window: runs an operation while every processor is paused.
    ///
    /// The window first waits until no other window is requested or open. Then it asks all processors to pause, and
    /// waits until each has finished its events and acknowledged the pause. It runs the operation, and lets the
    /// processors resume. During a hold (``hold(reason:id:)``), the processors have paused already, and stay paused
    /// when the window ends.
    ///
    /// The operation runs in its own task. If the window is lost, the task is cancelled and awaited. A window is lost
    /// if its session is not confirmed in time, if the session ends, or if another client deletes its znodes. If this
    /// process crashes, the window ends with its session, and the processors resume ``Configuration/resumeDelay``
    /// later.
    ///
    /// - Parameters:
    ///   - id: The participant's ID in ``status()`` and in the window's record; `nil` uses the host name and process
    ///     ID. Default: `nil`.
    ///   - reason: The purpose of the window, shown by ``status()`` and stored in its record.
    ///   - drain: The policy for processors that do not pause. Default: `.wait`.
    ///   - timeout: The limit for the wait for a session and for other windows; `nil` waits without limit. The wait for
    ///     processors has its own limit, `drain`. Default: `nil`.
    ///   - operation: The work to run alone. Its argument has the fencing token and the validity of the window.
    /// - Returns: The result of `operation`.
    /// - Throws: ``RecipeError`` with code `.timedOut`; `.notPaused` with the processors that have not paused in time,
    ///   or with the holder of a window that crashed if the resume delay is longer than the limit of `drain`; `.lost`;
    ///   `.alreadyHeld` if the calling task is inside a permit or a window of the same base path and client;
    ///   `.invalidArgument` if the limit of `drain` is negative; `.queueNumbersExhausted`. `ZooKeeperError`, such as
    ///   `.noAuth` or `.clientStopped`. `CancellationError`. The error of `operation`. In every case all znodes of the
    ///   window are deleted. Without a connection they are deleted on the next connection, at the latest when the
    ///   session ends.
    /// - Complexity: 5 requests in 1 round trip, and 2 to watch the window's own znodes. In a second round trip,
    ///   1 for each of up to 2 processors. Of more processors, a list, and another one after each round trip
    ///   in which some have paused; after 100 ms, 1 for each that has not paused, and later 1 for each report of a
    ///   processor that still drains. At the end, 1 request, and 1 if there were lists. Each wait for another window
    ///   takes 6 more. After windows that crashed, up to 6 more, and 2 for each of these windows, in 4 round trips.
    ///   During a hold, up to 7 more in 2 round trips.
    public func withWindow<Result: Sendable>(
        id: String? = nil, reason: String, drain: DrainPolicy = .wait, timeout: Duration? = nil,
        _ operation: @escaping @Sendable (ExclusiveWindow) async throws -> Result
    ) async throws -> Result {
        let deadline = timeout.map { client.clock.now + $0 }
        return try await window(id, reason, drain, until: deadline, waits: true, operation)
    }

    /// Opens a window if no other window is requested or open.
    ///
    /// - Parameters:
    ///   - id: The participant's ID in ``status()`` and in the window's record; `nil` uses the host name and process
    ///     ID. Default: `nil`.
    ///   - reason: The purpose of the window, shown by ``status()`` and stored in its record.
    ///   - drain: The policy for processors that do not pause. Default: `.wait`.
    ///   - operation: The work to run alone. Its argument has the fencing token and the validity of the window.
    /// - Returns: The result of `operation`.
    /// - Throws: ``RecipeError`` with code `.notAvailable` and the holder of the other window in
    ///   ``RecipeError/participants``, or `.timedOut` if the ensemble does not answer within the client's retry timeout;
    ///   otherwise as ``withWindow(id:reason:drain:timeout:_:)``.
    /// - Complexity: As ``withWindow(id:reason:drain:timeout:_:)``; 5 requests in 1 round trip if there is another
    ///   window.
    public func tryWithWindow<Result: Sendable>(
        id: String? = nil, reason: String, drain: DrainPolicy = .wait,
        _ operation: @escaping @Sendable (ExclusiveWindow) async throws -> Result
    ) async throws -> Result {
        try await window(id, reason, drain, until: AcquisitionTimeout.none.deadline(client), waits: false, operation)
    }

    private func window<Result: Sendable>(
        _ id: String?, _ reason: String, _ drain: DrainPolicy, until deadline: MonotonicInstant?, waits: Bool,
        _ operation: @escaping @Sendable (ExclusiveWindow) async throws -> Result
    ) async throws -> Result {
        if let limit = drain.timeout, limit < .zero {
            throw RecipeError(
                .invalidArgument, in: .exclusiveMode, path: path,
                message: "the limit of the drain policy is \(limit); it must not be negative")
        }
        try ExclusiveScope.check(self)
        let began = client.clock.now
        let owner = id ?? ProcessIdentity.current.description
        var ownAttempts: Set<String> = []
        var isHeld = false
        var backoff = client.makeBackoff(.quick)
        while true {
            try Task.checkCancellation()
            let session = try await until(deadline) { try await client.connectedSession() }
            let attempt = WindowAttempt(mode: self, session: session, owner: owner, reason: reason, isHeld: isHeld)
            switch try await request(attempt, until: deadline) {
            case .held(let held): isHeld = held
            case .again:
                ownAttempts.insert(attempt.id)
                let pauseEnd = client.clock.now + backoff.pause()
                try await until(deadline) { try await client.clock.sleep(until: pauseEnd) }
            case .busy(let owner, let id):
                // This may be an earlier attempt of this call whose answer was lost; it is cleaned up soon.
                guard waits || ownAttempts.contains(id) else {
                    throw RecipeError(
                        .notAvailable, in: .exclusiveMode, path: path, participants: [owner],
                        message: "another window is requested or open: \(owner)")
                }
                try await until(deadline) { try await client.recipeSteps { try await attempt.awaitOtherWindow() } }
            case .requested(let request):
                return try await WindowRun(mode: self, request: request, drain: drain, began: began).run(operation)
            }
        }
    }

    /// Requests a window.
    ///
    /// An outcome that arrives at the deadline counts. A request that is cancelled by the deadline is undone.
    private func request(
        _ attempt: WindowAttempt, until deadline: MonotonicInstant?
    ) async throws -> WindowAttempt.Outcome {
        let client = client
        let result = await client.clock.outcome(
            of: { try await client.recipeSteps { try await attempt.request() } }, cancelledAt: deadline
        ).result
        if case .failure(let error) = result, error is CancellationError, !Task.isCancelled { throw timedOut }
        return try result.get()
    }

    private var timedOut: RecipeError {
        RecipeError(
            .timedOut, in: .exclusiveMode, path: path,
            message:
                "there was no session in time, or the ensemble did not answer, or another window did not end in time")
    }

    /// Runs a step, during which no window is requested, until a deadline.
    private func until<Value: Sendable>(
        _ deadline: MonotonicInstant?, _ step: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard let deadline else { return try await step() }
        guard let value = try await client.clock.run(until: deadline, step) else { throw timedOut }
        return value
    }

    /// Returns the records of the last windows, the newest last.
    ///
    /// - Returns: The records; empty if there are none.
    /// - Throws: `ZooKeeperError`, such as `.noAuth` or `.clientStopped`; `CancellationError`.
    /// - Complexity: 1 request.
    public func recentWindows() async throws -> [WindowRecord] {
        do {
            return WindowRecord.list(try await client.recipeSteps { try await client.data(at: windowsPath) }.data)
        } catch let error as ZooKeeperError where error.code == .noNode {
            return []
        }
    }
}

/// A window that was requested, so that its znodes exist.
struct WindowRequest: Sendable {
    /// The facts that are available once the window's znodes exist.
    struct Facts: Sendable {
        /// The ID of the window.
        var id: String
        /// The window's own write znode.
        var own: ContenderName
        /// The children of `BASE/locks` and `BASE/members`.
        var listing: [String]
        var members: [String]
        /// The time of the request and of its answer, by this machine's clock.
        var requested: MonotonicInstant
        var answered: MonotonicInstant
        /// Whether other windows have left no record: they crashed, because their signal did not exist when this one
        /// was created.
        var isAfterCrash: Bool
    }

    var facts: Facts
    var owner: String
    var reason: String
    /// The window's own znodes: the signal and the write znode.
    ///
    /// Without the signal, processors would enter behind the write znode unnoticed; without the write znode, readers of
    /// the lock would enter.
    var holding: Holding
    /// Keeps a closing client from closing its session before the window's end is recorded.
    var reservation: HeldNode
    /// The requests that were answered on the connection on which the znodes were created.
    var batch: RequestBatch
    /// The data of the signal.
    var signal: [UInt8]
    /// The time of the request, by the ensemble's clock.
    var requestedAt: Timestamp
    var records: [WindowRecord]
    var recordsVersion: Int32

    /// Whether the window was requested during a hold.
    var isHeld: Bool
    /// Whether there were other children of `BASE/windows`: crashed windows, or holds.
    var hasOthers: Bool

    var id: String { facts.id }
    /// The window's own signal; during a hold it is a child of the signal of the holds.
    var signalNode: HeldNode { holding.nodes[0] }
    var writeNode: HeldNode { holding.nodes[1] }
    var session: SessionHandle { holding.session }
    /// The ID of the transaction that created the signal.
    var token: FencingToken { FencingToken(rawValue: signalNode.czxid.rawValue) }
}

/// One attempt to request a window, in one session.
struct WindowAttempt {
    enum Outcome {
        case requested(WindowRequest)
        case busy(owner: String, id: String)
        /// The signal belongs to holds, or does not any more; nothing was created.
        case held(Bool)
        case again
    }

    let mode: ExclusiveMode
    let session: SessionHandle
    let reason: String
    let id: String
    private let owner: String
    /// Whether the window is requested during a hold, so that its signal is a child of that of the holds.
    ///
    /// The transaction of the request fails if there is no hold any more. A hold cannot be removed while the window
    /// needs the signal: the servers refuse to delete a znode with a child.
    private let isHeld: Bool
    private let signalPath: String
    /// The data of the signal, which is unique to this attempt.
    let signal: [UInt8]
    private let reservation: HeldNode

    init(mode: ExclusiveMode, session: SessionHandle, owner: String, reason: String, isHeld: Bool) {
        self.mode = mode
        self.isHeld = isHeld
        signalPath = isHeld ? mode.heldWindowPath : mode.signalPath
        self.session = session
        self.owner = owner
        self.reason = reason
        id = ContenderName.makeUUID(using: mode.client.randomness)
        reservation = session.reserve(signalPath)
        signal = SignalRecord(id: id, owner: owner, reason: reason, sessionTimeout: session.timeout).bytes
    }

    /// Requests a window in one round trip.
    ///
    /// One transaction creates the signal, the write znode and the znode of the window without a record. The requests
    /// that follow read the data that the window needs.
    func request() async throws -> Outcome {
        let base = ZNodePath.child(ContenderName.base(uuid: id, kind: .write), of: mode.locksPath)
        let began = mode.client.clock.now
        let requests: [SessionRequest] = [
            .multi([
                .create(signalPath, data: signal, mode: .ephemeral),
                .create(base, data: Array(owner.utf8), mode: .ephemeralSequential),
                .create(mode.unfinishedPath(id), data: signal),
            ]),
            .data(path: signalPath), .children(path: mode.locksPath), .children(path: mode.membersPath),
            .data(path: mode.windowsPath),
        ]
        var isRequested = false
        defer { if !isRequested { reservation.release() } }
        let batch = RequestBatch()
        let results: [SessionResult]
        do {
            results = try await session.sendAll(requests, batch: batch)
        } catch {
            await undo()
            throw error
        }
        let outcome = try await requested(results, batch: batch, began: began)
        if case .requested = outcome { isRequested = true }
        return outcome
    }

    private func requested(
        _ results: [SessionResult], batch: RequestBatch, began: MonotonicInstant
    ) async throws -> Outcome {
        switch results[0] {
        case .success: break
        case .failure(let error) where error.code == .nodeExists:
            return try otherWindow(results[1])
        case .failure(let error)
        where isHeld && error.failedOperation == 0 && [.noNode, .noChildrenForEphemerals].contains(error.code):
            return .held(false)
        case .failure(let error) where error.code == .noNode:
            try await mode.createStructure()
            return .again
        case .failure(let error) where error.isOutcomeUnknown || error.code == .sessionExpired:
            await undo()
            return .again
        case .failure(let error): throw error
        }
        do {
            guard case .multi(let created) = try results[0].get(), let write = created[1].path,
                let own = ContenderName(ZNodePath.name(of: write))
            else { throw ZooKeeperError(.server, path: mode.locksPath, message: "a window without a number") }
            guard !own.isBeyondTheLimit else { throw mode.numbersExhausted }
            let found = try results[1].get().data
            guard found.data == signal else { throw ZooKeeperError(.connectionLoss) }
            let records = try results[4].get().data
            let facts = WindowRequest.Facts(
                id: id, own: own, listing: try results[2].get().children.names,
                members: (try? results[3].get().children.names) ?? [], requested: began,
                answered: mode.client.clock.now, isAfterCrash: records.stat.childrenCount > 1)
            return .requested(
                WindowRequest(
                    facts: facts, owner: owner, reason: reason,
                    holding: Holding([
                        session.hold(signalPath, czxid: found.stat.czxid, seenBy: batch),
                        session.hold(write, czxid: found.stat.czxid, seenBy: batch),
                    ]),
                    reservation: reservation, batch: batch, signal: signal, requestedAt: found.stat.ctime,
                    records: WindowRecord.list(records.data), recordsVersion: records.stat.dataVersion, isHeld: isHeld,
                    hasOthers: records.stat.childrenCount > 1))
        } catch {
            await undo()
            guard let error = error as? ZooKeeperError else { throw error }
            if error.code == .noNode { try await mode.createStructure() }
            if error.isOutcomeUnknown || [.connectionLoss, .noNode, .sessionExpired].contains(error.code) {
                return .again
            }
            throw error
        }
    }

    /// Returns the other window, from the data of its signal; a signal without permission to read it also belongs to
    /// another window.
    private func otherWindow(_ signal: SessionResult) throws -> Outcome {
        switch signal {
        case .success(let reply):
            let text = SignalRecord(try reply.data.data)
            if text.isHold { return .held(true) }
            return .busy(owner: text.owner, id: text.id)
        case .failure(let error) where error.code == .noAuth: return .busy(owner: SignalRecord([]).owner, id: "")
        case .failure: return .again
        }
    }

    /// Deletes the znodes that may have been created, retrying until they are gone or the session has ended.
    private func undo() async {
        let prefix = ContenderName.prefix(uuid: id)
        let job = CleanUp.prefixWith(
            prefix, parent: mode.locksPath, also: signalPath, data: signal, finally: mode.unfinishedPath(id))
        await session.cleanUpWhileConnected(job, releasing: reservation)
    }

    /// Waits until the signal of the other window is deleted.
    func awaitOtherWindow() async throws {
        let watched = try await mode.client.watchExistence(at: signalPath, share: nil)
        guard watched.stat != nil else {
            watched.watch.cancel()
            return
        }
        _ = try await watched.watch.event()
    }
}

extension ZNodePath {
    static func name(of path: String) -> String {
        path.asChild.name
    }
}
