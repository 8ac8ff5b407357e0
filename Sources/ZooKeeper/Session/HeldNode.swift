internal import Synchronization

/// An own znode that something is granted by: standing, watched, and proved with its session.
package final class HeldNode: Sendable, Holdable {
    package let path: String
    package let czxid: ZXID
    package let session: LiveSession
    private let core: ClientCore
    /// The latest instant that this znode's own knowledge supports: unlimited while it is watched, frozen while the watch
    /// is being set (again), the distant past once it is lost.
    private let capNanoseconds: Atomic<Int64>
    private let loss = OneShot<LossReason>()
    private let isReleased = Atomic(false)
    private let isHeldByHandle = Atomic(false)
    private let created: MonotonicInstant
    /// The number of the connection on which the znode was known to exist.
    package let connection: Int
    /// When the watch is to be set.
    let watchDue: MonotonicInstant
    private let isWatched = Atomic(false)
    private let refusesChecks = Atomic(false)
    private let problem = Mutex<ZooKeeperError?>(nil)
    private static let lost = Int64.min
    private let watching = Mutex<OneShotWatch?>(nil)
    private let writes = Mutex(Writes())

    /// What was written into the znode since it was created.
    private struct Writes {
        var seenVersion: Int32 = 0
        var observer: (@Sendable ([UInt8]) -> Void)?
        /// What was written while nobody observed.
        var untold: [UInt8]?
    }

    /// - Parameter sureUntil: What was sure when the znode was known to exist.
    init(
        path: String, czxid: ZXID, session: LiveSession, core: ClientCore, sureUntil: MonotonicInstant,
        connection: Int = 0, watchDue: MonotonicInstant = .distantPast
    ) {
        self.connection = connection
        self.watchDue = watchDue
        self.path = path
        self.czxid = czxid
        self.session = session
        self.core = core
        capNanoseconds = Atomic(sureUntil.nanoseconds)
        created = core.clock.now
    }

    /// Until when the grant surely holds; in the past once it is lost.
    package var validUntil: MonotonicInstant {
        min(session.validUntil, MonotonicInstant(nanoseconds: capNanoseconds.load(ordering: .acquiring)))
    }

    /// Whether the grant surely holds now.
    ///
    /// One clock read and two loads; also right in the first instruction after the process was stopped for a while.
    package var isValid: Bool { core.clock.now < validUntil }

    /// Why it was lost, once it is.
    package var lossReason: LossReason? { loss.value }

    /// Waits for the loss.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    package func waitForLoss() async throws -> LossReason {
        try await loss.wait()
    }

    /// Calls a closure at the loss, on the thread that notices it: it must not block.
    package func onLoss(_ observer: @escaping @Sendable (LossReason) -> Void) {
        loss.observe(observer)
    }

    /// Calls a closure with the znode's data after each time that somebody has written it, on the delivering thread: it must
    /// not block.
    ///
    /// Writes that follow each other closely are told as one. A write before the znode is watched is told when it is, and
    /// one before anybody observes when somebody does.
    package func onWrite(_ observer: @escaping @Sendable ([UInt8]) -> Void) {
        let untold = writes.withLock { writes in
            writes.observer = observer
            defer { writes.untold = nil }
            return writes.untold
        }
        if let untold { observer(untold) }
    }

    /// Ends the watching over: the znode is about to be deleted by its owner, and its end is no loss.
    ///
    /// The watch stays set: the deletion's event takes it away without a request of its own.
    ///
    /// - Parameter deletion: Something that happens when the deletion was answered. A client that is closing waits for it.
    package func release(after deletion: OneShot<Void>? = nil) {
        guard !isReleased.exchange(true, ordering: .acquiringAndReleasing) else { return }
        capNanoseconds.store(Self.lost, ordering: .releasing)
        // Observers may hold this znode, and so would keep each other in memory.
        loss.dropObservers()
        writes.withLock { $0.observer = nil }
        core.removeHold(self)
        guard let deletion else { return core.forgetHold(self) }
        deletion.observe { [self] _ in core.forgetHold(self) }
    }

    /// Whether its holder has let go, so that the znode is to be deleted.
    var isLetGo: Bool { isReleased.load(ordering: .acquiring) }

    /// Whether nothing but handles hold by this znode.
    ///
    /// A client that stops waits for bodies without limit, and for handles
    /// for a time: one that was forgotten must not keep a program from ending.
    package var isHandle: Bool {
        get { isHeldByHandle.load(ordering: .relaxed) }
        set { isHeldByHandle.store(newValue, ordering: .relaxed) }
    }

    /// The loss is noticed.
    func lose(_ reason: LossReason) {
        capNanoseconds.store(Self.lost, ordering: .releasing)
        if reason == .znodeDeleted || reason == .sessionEnded { core.forgetHold(self) } else { core.removeHold(self) }
        guard !isReleased.load(ordering: .acquiring) else { return }
        loss.set(reason)
        session.validityChanged()
    }

    /// Whether the watch has never been set, though it was not to be waited with any longer.
    func isWatchDue(now: MonotonicInstant) -> Bool { watchDue <= now && needsWatch }

    /// Whether the watch has never been set.
    var needsWatch: Bool { !isWatched.load(ordering: .acquiring) }

    /// Whether it is watched, so that it is valid for as long as its session is.
    var isSettled: Bool { !needsWatch && capNanoseconds.load(ordering: .acquiring) == .max }

    /// Reads the znode, checks that it is still the same, and sets the watch.
    func watch() { read(behindBarrier: false) }

    /// One read of the znode, which also sets the watch.
    private final class Read: Sendable {
        let barrier: OneShot<SessionResult>?
        /// Whether the read found the znode.
        let hasFound = Atomic(false)

        init(behindBarrier: Bool) { barrier = behindBarrier ? OneShot() : nil }

        func result(_ read: SessionResult) -> SessionResult { barrier?.value?.asBarrier(before: read) ?? read }
    }

    /// - Parameter behindBarrier: Whether to wait for a commit first. A server that lags, to which a new connection may lead,
    ///   does not know the znode yet.
    private func read(behindBarrier: Bool) {
        isWatched.store(true, ordering: .releasing)
        guard loss.value == nil, !isReleased.load(ordering: .acquiring) else { return }
        let (read, batch) = (Read(behindBarrier: behindBarrier), behindBarrier ? RequestBatch() : nil)
        let watch = OneShotWatch(core, path: path) { [weak self] event in self?.handle(event, of: read) }
        let previous = watching.withLock { current in
            defer { current = watch }
            return current
        }
        if let barrier = read.barrier { session.post(.barrier(at: path), batch: batch) { barrier.set($0) } }
        session.post(.data(path: path, watch: watch.sink), batch: batch) { [weak self] in
            self?.handle(read.result($0), of: read)
        }
        // The previous read may have set it on another znode of this path, or on another connection than its barrier.
        previous?.giveUp()
    }

    /// Why the watch could not be set when it was last tried.
    var watchProblem: ZooKeeperError? { problem.withLock { $0 } }

    /// Whether the deadline has passed; what still waits for its first proof has not outlived anything.
    func hasOutlivedDeadline(now: MonotonicInstant) -> Bool {
        let deadline = validUntil
        return deadline <= now && deadline > created
    }

    private func handle(_ result: SessionResult, of read: Read) {
        switch result {
        case .success(.data(let data, let stat)):
            problem.withLock { $0 = nil }
            guard stat.czxid == czxid else { return handleAbsence(in: read, isReplaced: stat.czxid > czxid) }
            read.hasFound.store(true, ordering: .relaxed)
            confirmWatch()
            tell(data, version: stat.dataVersion)
        case .failure(let error) where error.code == .noNode: handleAbsence(in: read)
        case .failure(let error) where error.code == .noAuth:
            problem.withLock { $0 = error }
            core.warnUnreadable(self)
        case .failure(let error) where error.code == .sessionExpired || error.code == .clientStopped: break
        // Lost with its connection: it goes out again, and waits for the next one.
        case .failure(let error) where error.isOutcomeUnknown: watch()
        // The server does not answer properly: what is sure now stays, nothing more.
        case .failure(let error):
            problem.withLock { $0 = error }
            core.retryLater { [weak self] in self?.watch() }
        case .success: core.retryLater { [weak self] in self?.watch() }
        }
    }

    /// Without a barrier, the server may only lag.
    ///
    /// A newer znode at the same path is proof of the deletion.
    private func handleAbsence(in read: Read, isReplaced: Bool = false) {
        guard !isLetGo else { return }
        if read.barrier != nil || isReplaced { lose(.znodeDeleted) } else { self.read(behindBarrier: true) }
    }

    /// Whether the znode may be checked in a proof: that takes the right to read it.
    var allowsChecks: Bool { !refusesChecks.load(ordering: .relaxed) }

    func refuseChecks() {
        refusesChecks.store(true, ordering: .relaxed)
    }

    private func handle(_ event: WatchEvent, of read: Read) {
        switch event.kind {
        case .deleted where read.hasFound.load(ordering: .relaxed): lose(.znodeDeleted)
        case .deleted: handleAbsence(in: read)
        case .created, .dataChanged, .childrenChanged, .interrupted:
            freeze()
            watch()
        case .sessionEnded: break
        }
    }

    private func tell(_ data: [UInt8], version: Int32) {
        let observer = writes.withLock { writes -> (@Sendable ([UInt8]) -> Void)? in
            guard version != writes.seenVersion else { return nil }
            writes.seenVersion = version
            if writes.observer == nil { writes.untold = data }
            return writes.observer
        }
        observer?(data)
    }

    /// Without the watch a proof of the session could hide the znode's deletion: what is sure now stays, nothing more.
    private func freeze() {
        let known = session.validUntil.nanoseconds
        _ = capNanoseconds.compareExchange(expected: .max, desired: known, ordering: .acquiringAndReleasing)
        core.unsettleHold(self)
    }

    /// The watch is set: from here on the session's validity is the znode's.
    func confirmWatch() {
        let current = capNanoseconds.load(ordering: .acquiring)
        guard current != Self.lost else { return }
        _ = capNanoseconds.compareExchange(expected: current, desired: .max, ordering: .acquiringAndReleasing)
        session.validityChanged()
    }
}
