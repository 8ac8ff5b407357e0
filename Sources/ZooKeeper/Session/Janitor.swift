internal import Logging

/// The znodes of a session to delete, with retries until they are gone or the session has ended.
package enum CleanUp: Sendable {
    /// One znode with a unique name, so that no znode of another client can be meant.
    case node(path: String)
    /// All children of a parent whose names have this prefix, even if the answer to their creation was lost.
    case prefix(String, parent: String)
    /// The same as `prefix`, and a znode with a shared name that was created together with them.
    ///
    /// The znode with the shared name belongs to the session while it has this data, which must be unique. `finally` is
    /// a znode with a unique name that is deleted after them, and is kept if it cannot be deleted.
    case prefixWith(String, parent: String, also: String, data: [UInt8], finally: String? = nil)
    /// One ephemeral znode with a shared name, if it belongs to the session and was created by this transaction.
    ///
    /// `nil` accepts any transaction, for a creation whose answer was lost.
    case owned(path: String, czxid: ZXID?)
}

/// Performs clean-ups while the client runs.
///
/// Each clean-up is repeated with growing pauses until it is done or the session of the znodes has ended. While the
/// connection is lost, it waits for the next one.
struct Janitor: Sendable {
    struct Job: Sendable {
        var work: CleanUp
        var session: SessionHandle
        /// The signal to wait for before the job starts.
        var after: OneShot<Void>?
        /// Fires when the znodes are gone or the session has ended.
        var done: OneShot<Void>
        /// Fires with `done`, or when the server refuses a deletion, which is repeated nevertheless.
        var answered: OneShot<Void>

        func finish() {
            done.set(())
            answered.set(())
        }
    }

    private let jobs: AsyncStream<Job>
    private let continuation: AsyncStream<Job>.Continuation
    private let clock: any MonotonicClock
    private let randomness: Randomness
    private let logger: Logger

    init(clock: any MonotonicClock, randomness: Randomness, logger: Logger) {
        (jobs, continuation) = AsyncStream.makeStream(of: Job.self)
        self.clock = clock
        self.randomness = randomness
        self.logger = logger
    }

    /// Adds a job; if the client has stopped, its session has ended and there is nothing to do.
    func add(_ job: Job) {
        if case .terminated = continuation.yield(job) { job.finish() }
    }

    func finish() {
        continuation.finish()
    }

    func run() async {
        await withDiscardingTaskGroup { group in
            for await job in jobs {
                group.addTask { await perform(job) }
            }
            group.cancelAll()
        }
    }

    private func perform(_ job: Job) async {
        defer { job.finish() }
        _ = try? await job.after?.wait()
        var backoff = Backoff(.quick, seed: randomness.next())
        var hasWarned = false
        while !job.session.isGone, !Task.isCancelled {
            do {
                if try await attempt(job) { return }
            } catch let error as ZooKeeperError where error.isAboutZNode && !error.isOutcomeUnknown {
                if !hasWarned { warn(error.path ?? job.work.path, error) }
                hasWarned = true
                job.answered.set(())
            } catch {}
            try? await clock.sleep(until: clock.now + backoff.pause())
        }
    }

    private func warn(_ path: String, _ error: ZooKeeperError) {
        logger.warning(
            "Cannot delete an own znode: it exists until this succeeds or the session ends",
            metadata: ["zookeeper.path": "\(path)", "zookeeper.reason": "\(error)"])
    }

    /// Gives up on a znode without permission to read it: it may belong to another session.
    private func giveUp(_ path: String, _ error: ZooKeeperError) -> Bool {
        warn(path, error)
        return true
    }

    /// Performs the job once; returns whether nothing is left to delete.
    private func attempt(_ job: Job) async throws -> Bool {
        switch job.work {
        case .node(let path):
            return try isGone(try await send(.delete(path: path), in: job.session))
        case .prefix(let prefix, let parent):
            return try await deleteAll(with: prefix, in: parent, session: job.session)
        case .prefixWith(let prefix, let parent, let also, let data, let last):
            guard try await deleteAll(with: prefix, in: parent, also: also, data: data, session: job.session) else {
                return false
            }
            guard let last else { return true }
            let result = try await send(.delete(path: last), in: job.session)
            if case .failure(let error) = result, [.noAuth, .notEmpty].contains(error.code) {
                return giveUp(last, error)
            }
            return try isGone(result)
        case .owned(let path, let czxid):
            return try await deleteOwned(path, czxid: czxid, session: job.session)
        }
    }

    private func deleteAll(with prefix: String, in parent: String, session: SessionHandle) async throws -> Bool {
        let deletes = try await own(prefix, in: parent, session: session).map { SessionRequest.delete(path: $0) }
        guard !deletes.isEmpty else { return true }
        return try await session.sendAll(deletes, whileClosing: true).allSatisfy(isGone)
    }

    private func deleteAll(
        with prefix: String, in parent: String, also shared: String, data: [UInt8], session: SessionHandle
    ) async throws -> Bool {
        guard let first = try await own(prefix, in: parent, session: session).first else {
            return try await delete(shared, ifItHolds: data, session: session)
        }
        // Another client may have deleted it, and a third one may have created its own.
        let version: Int32?
        switch try await send(.data(path: shared), in: session) {
        case .success(.data(data, let stat)): version = stat.dataVersion
        case .failure(let error) where error.code == .noAuth: version = -1
        case .failure(let error) where error.code != .noNode: throw error
        default: version = nil
        }
        guard let version else { return try isGone(try await send(.delete(path: first), in: session)) }
        let deletions: [TransactionOperation] = [.delete(first), .delete(shared, version: version)]
        let result = try await send(.multi(deletions), in: session)
        guard case .failure(let error) = result else { return true }
        // If one of them was deleted or changed, the next attempt decides.
        guard error.code == .noNode || error.code == .badVersion else { throw error }
        return false
    }

    /// Deletes a znode with a shared name whose companion was deleted by another client.
    private func delete(_ shared: String, ifItHolds data: [UInt8], session: SessionHandle) async throws -> Bool {
        let result = try await send(.data(path: shared), in: session)
        switch result {
        case .success(.data(data, let stat)):
            return try isGone(
                try await send(.delete(path: shared, version: stat.dataVersion), in: session))
        case .failure(let error) where error.code == .noAuth: return giveUp(shared, error)
        case .failure(let error): return try isGone(.failure(error))
        default: return true
        }
    }

    /// Deletes a znode with a shared name that belongs to the session.
    ///
    /// Without the barrier, a znode whose creation is in flight might not be seen.
    private func deleteOwned(_ path: String, czxid: ZXID?, session: SessionHandle) async throws -> Bool {
        switch try await session.sendAll(behindBarrierAt: path, [.data(path: path)], whileClosing: true)[0] {
        case .success(.data(_, let stat))
        where stat.ephemeralOwner == session.id && (czxid == nil || stat.czxid == czxid):
            return try isGone(try await send(.delete(path: path, version: stat.dataVersion), in: session))
        case .failure(let error) where error.code == .noAuth: return giveUp(path, error)
        case .failure(let error): return try isGone(.failure(error))
        default: return true
        }
    }

    /// Returns the znodes with a prefix.
    ///
    /// Without the barrier, a znode whose creation is in flight might not be seen.
    private func own(_ prefix: String, in parent: String, session: SessionHandle) async throws -> [String] {
        let listing = try await session.sendAll(
            behindBarrierAt: parent, [.children(path: parent)], whileClosing: true)[0]
        if case .failure(let error) = listing, error.code == .noNode { return [] }
        return try listing.get().children.names
            .filter { $0.hasBytePrefix(prefix) }.map { ZNodePath.child($0, of: parent) }
    }

    /// Sends a request that a closing client sends as well.
    private func send(_ request: SessionRequest, in session: SessionHandle) async throws -> SessionResult {
        try await session.sendAll([request], whileClosing: true)[0]
    }

    /// Returns whether a znode does not exist any more.
    ///
    /// - Throws: The reason why the znode was not deleted.
    private func isGone(_ result: SessionResult) throws(ZooKeeperError) -> Bool {
        switch result {
        case .success: true
        case .failure(let error) where error.code == .noNode: true
        case .failure(let error) where error.code == .badVersion: false
        case .failure(let error): throw error
        }
    }
}

extension CleanUp {
    /// The path for log messages.
    fileprivate var path: String {
        switch self {
        case .node(let path), .owned(let path, _), .prefix(let path, _), .prefixWith(let path, _, _, _, _): path
        }
    }
}
