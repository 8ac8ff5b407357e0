internal import Logging
internal import ZooKeeper

extension ExclusiveMode {
    /// Runs an operation while every processor is paused.
    ///
    /// Processors are asked to pause, each acknowledges when its events are finished, the operation runs, and they resume.
    /// The operation runs in a child task. When the window is lost, because its session could not be proved in time, its
    /// session has ended, or somebody deleted its znodes, the task is cancelled and awaited. A crash of this process ends
    /// the window with its session; processors resume after the configured delay.
    ///
    /// - Parameters:
    ///   - reason: What the window is for, shown by ``status()`` and kept in its record.
    ///   - drain: What to do about processors that do not pause.
    ///   - ifBusy: What to do when another window is wanted or open.
    ///   - operation: The work; its window gives the fencing token and tells whether it is still valid.
    /// - Returns: What `operation` returned.
    /// - Throws: ``RecipeError`` with code `.notAvailable`, `.notPaused` naming who has not, `.lost`, or `.alreadyHeld` when the
    ///   calling task is inside a permit or a window of the same base path and client. `.notPaused` also names the owner of a
    ///   window that crashed, if the resume delay is longer than the policy's timeout;
    ///   `ZooKeeperError`, for instance `.noAuth` or `.clientStopped`; `CancellationError` when the calling task
    ///   was cancelled; or the error of `operation`. In every case nothing of the window is left, or, while the connection
    ///   is lost, what is left goes with the next one, at the latest with the session.
    /// - Complexity: Five requests in one round trip, one for each processor in another, one at the end. After a window that
    ///   crashed two or three more.
    public func run<Result: Sendable>(
        reason: String,
        drain: DrainPolicy = .wait,
        ifBusy: BusyPolicy = .wait,
        operation: @escaping @Sendable (ExclusiveWindow) async throws -> Result
    ) async throws -> Result {
        if let patience = drain.patience, patience < .zero {
            throw RecipeError(
                .invalidArgument, in: .exclusiveMode, path: path,
                message: "the drain policy's time is \(patience); it must not be negative")
        }
        try ExclusiveScope.check(self)
        var ownAttempts: Set<String> = []
        var backoff = client.makeBackoff(.quick)
        while true {
            try Task.checkCancellation()
            let session = try await client.liveSession()
            let attempt = WindowAttempt(mode: self, session: session, reason: reason)
            switch try await client.recipeSteps({ try await attempt.request() }) {
            case .again:
                ownAttempts.insert(attempt.id)
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
            case .busy(let owner, let id):
                // An own attempt whose answer was lost is cleaned up soon.
                guard ifBusy == .wait || ownAttempts.contains(id) else {
                    throw RecipeError(
                        .notAvailable, in: .exclusiveMode, path: path, participants: [owner],
                        message: "another window is requested or open: \(owner)")
                }
                try await client.recipeSteps { try await attempt.awaitOtherWindow() }
            case .requested(let request):
                return try await WindowRun(mode: self, request: request, drain: drain).run(operation)
            }
        }
    }

    /// The records of the last windows, the newest last.
    ///
    /// - Complexity: One request.
    public func windows() async throws -> [WindowRecord] {
        do {
            return WindowRecord.list(try await client.recipeSteps { try await client.data(at: windowsPath) }.data)
        } catch let error as ZooKeeperError where error.code == .noNode {
            return []
        }
    }
}

/// A window that has been asked for: its znodes stand.
struct WindowRequest: Sendable {
    /// What is known when its znodes exist.
    struct Facts: Sendable {
        /// Names the window.
        var id: String
        /// The own write znode.
        var own: ContenderName
        /// The children of `BASE/locks` and `BASE/members`.
        var listing: [String]
        var members: [String]
        /// When it was asked for, and when the answer came, by this machine's clock.
        var requested: MonotonicInstant
        var answered: MonotonicInstant
        /// Whether other windows have left no record: they crashed, as their signal had gone when the own one was created.
        var isAfterCrash: Bool
    }

    var facts: Facts
    var owner: String
    var reason: String
    /// Without the signal, processors would come in behind the write znode's back; without the write znode, readers of the
    /// lock would.
    var holding: Holding
    /// Keeps a client that is closing from closing its session before the window's end is recorded.
    var reservation: HeldNode
    /// The requests that were answered on the connection on which the znodes were created.
    var batch: RequestBatch
    /// What the signal holds.
    var signal: [UInt8]
    /// When it was asked for, by the ensemble's clock.
    var requestedAt: Duration
    var records: [WindowRecord]
    var recordsVersion: Int32

    var id: String { facts.id }
    var signalNode: HeldNode { holding.nodes[0] }
    var writeNode: HeldNode { holding.nodes[1] }
    var session: LiveSession { holding.session }
    /// The transaction that created the signal.
    var token: FencingToken { FencingToken(rawValue: signalNode.czxid.rawValue) }
}

/// One try to ask for a window, in one session.
struct WindowAttempt {
    enum Outcome {
        case requested(WindowRequest)
        case busy(owner: String, id: String)
        case again
    }

    let mode: ExclusiveMode
    let session: LiveSession
    let reason: String
    let id: String
    private let owner = ProcessIdentity.current.description
    /// What the signal holds; nobody else's does.
    let signal: [UInt8]
    private let reservation: HeldNode

    init(mode: ExclusiveMode, session: LiveSession, reason: String) {
        self.mode = mode
        self.session = session
        self.reason = reason
        id = ContenderName.makeUUID(using: mode.client.randomness)
        reservation = session.reserve(mode.signalPath)
        signal = SignalText(id: id, owner: owner, reason: reason, sessionTimeout: session.timeout).bytes
    }

    /// Requests a window in one round trip.
    ///
    /// One transaction creates the signal, the write znode and the znode of the window without a record. The requests that
    /// follow read what the window needs to know.
    func request() async throws -> Outcome {
        let base = ZNodePath.child(ContenderName.base(uuid: id, kind: .write), of: mode.locksPath)
        let began = mode.client.clock.now
        let requests: [SessionRequest] = [
            .multi([
                .create(mode.signalPath, data: signal, mode: .ephemeral),
                .create(base, data: Array(owner.utf8), mode: .ephemeralSequential),
                .create(mode.unfinishedPath(id), data: signal),
            ]),
            .data(path: mode.signalPath), .children(path: mode.locksPath), .children(path: mode.membersPath),
            .data(path: mode.windowsPath),
        ]
        var isRequested = false
        defer { if !isRequested { reservation.release() } }
        let batch = RequestBatch()
        let results: [SessionResult]
        do {
            results = try await session.flight(requests, batch: batch)
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
                        session.hold(mode.signalPath, czxid: found.stat.czxid, seenBy: batch),
                        session.hold(write, czxid: found.stat.czxid, seenBy: batch),
                    ]),
                    reservation: reservation, batch: batch, signal: signal, requestedAt: found.stat.ctime,
                    records: WindowRecord.list(records.data), recordsVersion: records.stat.dataVersion))
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

    /// The window that is in the way, from what its signal says; one that may not be read is somebody's as well.
    private func otherWindow(_ signal: SessionResult) throws -> Outcome {
        switch signal {
        case .success(let reply):
            let text = SignalText(try reply.data.data)
            return .busy(owner: text.owner, id: text.id)
        case .failure(let error) where error.code == .noAuth: return .busy(owner: SignalText([]).owner, id: "")
        case .failure: return .again
        }
    }

    /// Removes what may have been created, for certain.
    private func undo() async {
        let prefix = ContenderName.prefix(uuid: id)
        let job = CleanUp.prefixWith(
            prefix, parent: mode.locksPath, also: mode.signalPath, data: signal, finally: mode.unfinishedPath(id))
        await session.cleanUpWhileConnected(job, releasing: reservation)
    }

    /// Waits until the signal that is in the way has gone.
    func awaitOtherWindow() async throws {
        let watched = try await mode.client.watchExistence(at: mode.signalPath, share: nil)
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
