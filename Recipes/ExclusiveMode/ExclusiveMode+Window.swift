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
    /// - Throws: ``ExclusiveModeError`` with code `.busy`, `.notPaused` naming who has not, `.lost`, or `.nested` when the
    ///   calling task is inside a permit or a window of the same base path and client;
    ///   `ZooKeeperError`, for instance `.noAuth` or `.clientStopped`; `CancellationError` when the calling task
    ///   was cancelled; or the error of `operation`. In every case nothing of the window is left, or, while the connection
    ///   is lost, what is left goes with the next one, at the latest with the session.
    /// - Complexity: Five requests in one flight, one for each processor in another, one at the end.
    public func run<Result: Sendable>(
        reason: String,
        drain: DrainPolicy = .wait,
        ifBusy: BusyPolicy = .wait,
        operation: @escaping @Sendable (ExclusiveWindow) async throws -> Result
    ) async throws -> Result {
        if let patience = drain.patience, patience < .zero {
            throw ExclusiveModeError(
                .invalidArgument, path: path,
                message: "the drain policy's time is \(patience); it must not be negative")
        }
        try ExclusiveScope.check(self)
        var ownAttempts: Set<String> = []
        var backoff = Backoff(initial: .milliseconds(10), cap: .seconds(1), seed: client.randomness.next())
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
                    throw ExclusiveModeError(.busy, path: path, who: [owner])
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
    var id: String
    var owner: String
    var reason: String
    var holds: WindowHolds
    /// The requests that were answered on the connection on which the znodes were created.
    var batch: RequestBatch
    /// What the signal holds.
    var signal: [UInt8]
    /// When it was asked for, by the ensemble's clock and by this machine's.
    var requestedAt: Duration
    var requested: MonotonicInstant
    var listing: [String]
    var members: [String]
    var records: [WindowRecord]
    var recordsVersion: Int32

    var session: LiveSession { holds.session }
    /// The transaction that created the signal.
    var token: FencingToken { FencingToken(rawValue: holds.signal.czxid.rawValue) }
    var own: ContenderName? { ContenderName(ZNodePath.name(of: holds.write.path)) }
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

    init(mode: ExclusiveMode, session: LiveSession, reason: String) {
        self.mode = mode
        self.session = session
        self.reason = reason
        id = ContenderName.makeUUID(using: mode.client.randomness)
        signal = SignalText(id: id, owner: owner, reason: reason, sessionTimeout: session.timeout).bytes
    }

    /// Creates the signal and the write znode in one transaction, and reads what the window needs to know, in one flight.
    func request() async throws -> Outcome {
        let base = "\(mode.locksPath)/\(ContenderName.base(uuid: id, kind: .write))"
        let began = mode.client.clock.now
        let requests: [SessionRequest] = [
            .multi([
                .create(mode.signalPath, data: signal, mode: .ephemeral),
                .create(base, data: Array(owner.utf8), mode: .ephemeralSequential),
            ]),
            .data(path: mode.signalPath), .children(path: mode.locksPath), .children(path: mode.membersPath),
            .data(path: mode.windowsPath),
        ]
        let batch = RequestBatch()
        let results: [SessionResult]
        do {
            results = try await session.flight(requests, batch: batch)
        } catch {
            await undo()
            throw error
        }
        return try await requested(results, batch: batch, began: began)
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
            guard case .multi(let created) = try results[0].get(), let write = created[1].path else { return .again }
            guard ContenderName(ZNodePath.name(of: write))?.isBeyondTheLimit != true else {
                await undo()
                throw mode.numbersExhausted
            }
            let found = try results[1].get().data
            guard found.data == signal else { throw ZooKeeperError(.connectionLoss) }
            let listing = try results[2].get().children.names
            let records = try results[4].get().data
            return .requested(
                WindowRequest(
                    id: id, owner: owner, reason: reason,
                    holds: WindowHolds(
                        signal: session.hold(mode.signalPath, czxid: found.stat.czxid),
                        write: session.hold(write, czxid: found.stat.czxid)),
                    batch: batch, signal: signal, requestedAt: found.stat.ctime, requested: began, listing: listing,
                    members: (try? results[3].get().children.names) ?? [],
                    records: WindowRecord.list(records.data), recordsVersion: records.stat.dataVersion))
        } catch let error as ZooKeeperError {
            await undo()
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
        await session.cleanUpWhileConnected(
            .prefixWith(prefix, parent: mode.locksPath, also: mode.signalPath, data: signal))
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
