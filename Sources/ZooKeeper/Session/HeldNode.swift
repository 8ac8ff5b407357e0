internal import Synchronization

/// A held znode: a znode of this session on which a grant depends.
///
/// The grant is valid while the znode exists, is watched, and its session is guaranteed to be alive.
package final class HeldNode: Sendable, Holdable {
    package let path: String
    package let czxid: ZXID
    package let session: SessionHandle
    private let core: ClientCore
    /// The limit of the validity by what is known about this znode.
    ///
    /// It is unlimited while the znode is watched, fixed while the watch is being set (again), and in the distant past
    /// once the znode is lost.
    private let capNanoseconds: Atomic<Int64>
    private let loss = OneShot<LossReason>()
    private let isReleased = Atomic(false)
    private let isHeldByHandle = Atomic(false)
    private let created: MonotonicInstant
    /// The number of the connection on which the znode was seen to exist.
    package let connection: Int
    /// The time when the watch is to be set.
    let watchDue: MonotonicInstant
    private let isWatched = Atomic(false)
    private let refusesChecks = Atomic(false)
    private let problem = Mutex<ZooKeeperError?>(nil)
    private static let lost = Int64.min
    private let watching = Mutex<OneShotWatch?>(nil)
    private let writes = Mutex(Writes())

    /// The writes to the znode since it was created.
    private struct Writes {
        var seenVersion: Int32 = 0
        var observer: (@Sendable ([UInt8]) -> Void)?
        /// The data that was written while there was no observer.
        var untold: [UInt8]?
    }

    /// Creates a held znode.
    ///
    /// - Parameter sureUntil: The validity of the session when the znode was seen to exist.
    init(
        path: String, czxid: ZXID, session: SessionHandle, core: ClientCore, sureUntil: MonotonicInstant,
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

    /// The time until which the grant is guaranteed to be valid; in the past once it is lost.
    package var validUntil: MonotonicInstant {
        min(session.validUntil, MonotonicInstant(nanoseconds: capNanoseconds.load(ordering: .acquiring)))
    }

    /// Whether the grant is guaranteed to be valid now.
    ///
    /// It takes one clock read and two atomic loads. It is also correct in the first instruction after the process was
    /// stopped for a while.
    package var isValid: Bool { core.clock.now < validUntil }

    /// The reason of the loss; `nil` before the loss.
    package var lossReason: LossReason? { loss.value }

    /// Waits for the loss.
    ///
    /// - Returns: The reason of the loss.
    /// - Throws: `CancellationError` if the task is cancelled.
    package func waitForLoss() async throws -> LossReason {
        try await loss.wait()
    }

    /// Calls a closure when the grant is lost, on the thread that notices it; the closure must not block.
    package func onLoss(_ observer: @escaping @Sendable (LossReason) -> Void) {
        loss.observe(observer)
    }

    /// Calls a closure with the data of the znode after each write, on the delivering thread; the closure must not
    /// block.
    ///
    /// Writes in quick succession are reported as one. A write before the znode is watched is reported when the watch
    /// is set, and a write before there is an observer when one is added.
    package func onWrite(_ observer: @escaping @Sendable ([UInt8]) -> Void) {
        let untold = writes.withLock { writes in
            writes.observer = observer
            defer { writes.untold = nil }
            return writes.untold
        }
        if let untold { observer(untold) }
    }

    /// Ends the monitoring because the owner is about to delete the znode; its deletion is not a loss.
    ///
    /// The watch stays set: the event of the deletion removes it without a request of its own.
    ///
    /// - Parameter deletion: A signal that fires when the deletion was answered. A closing client waits for it.
    package func release(after deletion: OneShot<Void>? = nil) {
        guard !isReleased.exchange(true, ordering: .acquiringAndReleasing) else { return }
        capNanoseconds.store(Self.lost, ordering: .releasing)
        // Observers may reference this znode, and would then form a reference cycle with it.
        loss.dropObservers()
        writes.withLock { $0.observer = nil }
        core.removeHold(self)
        guard let deletion else { return core.forgetHold(self) }
        deletion.observe { [self] _ in core.forgetHold(self) }
    }

    /// Whether the holder has released the znode, so that it is to be deleted.
    var isLetGo: Bool { isReleased.load(ordering: .acquiring) }

    /// Whether only handles depend on this znode.
    ///
    /// A stopping client waits without limit for operations, but only for a limited time for handles: a forgotten
    /// handle must not prevent a program from exiting.
    package var isHandle: Bool {
        get { isHeldByHandle.load(ordering: .relaxed) }
        set { isHeldByHandle.store(newValue, ordering: .relaxed) }
    }

    /// Records the loss.
    func lose(_ reason: LossReason) {
        capNanoseconds.store(Self.lost, ordering: .releasing)
        if reason == .znodeDeleted || reason == .sessionEnded { core.forgetHold(self) } else { core.removeHold(self) }
        guard !isReleased.load(ordering: .acquiring) else { return }
        loss.set(reason)
        session.validityChanged()
    }

    /// Whether the watch has never been set although it is due.
    func isWatchDue(now: MonotonicInstant) -> Bool { watchDue <= now && needsWatch }

    /// Whether the watch has never been set.
    var needsWatch: Bool { !isWatched.load(ordering: .acquiring) }

    /// Whether the znode is watched, so that it is valid for as long as its session is.
    var isSettled: Bool { !needsWatch && capNanoseconds.load(ordering: .acquiring) == .max }

    /// Reads the znode, checks that it is still the same one, and sets the watch.
    func watch() { read(behindBarrier: false) }

    /// One read of the znode, which also sets the watch.
    private final class Read: Sendable {
        let barrier: OneShot<SessionResult>?
        /// Whether the read found the znode.
        let hasFound = Atomic(false)

        init(behindBarrier: Bool) { barrier = behindBarrier ? OneShot() : nil }

        func result(_ read: SessionResult) -> SessionResult { barrier?.value?.asBarrier(before: read) ?? read }
    }

    /// Reads the znode and sets the watch.
    ///
    /// - Parameter behindBarrier: Whether to wait for a commit first. After a reconnect, a server that lags behind may
    ///   not have the znode yet.
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
        // The previous read may have set it on a different znode at this path, or on another connection than its
        // barrier.
        previous?.giveUp()
    }

    /// The reason why the last attempt to set the watch failed.
    var watchProblem: ZooKeeperError? { problem.withLock { $0 } }

    /// Whether the deadline has passed; a znode that still waits for its first evidence has no deadline yet.
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
        // The read was lost with its connection: it is sent again on the next one.
        case .failure(let error) where error.isOutcomeUnknown: watch()
        // The server does not answer properly: the current validity remains, but is not extended.
        case .failure(let error):
            problem.withLock { $0 = error }
            core.retryLater { [weak self] in self?.watch() }
        case .success: core.retryLater { [weak self] in self?.watch() }
        }
    }

    /// Handles a read that did not find the znode.
    ///
    /// Without a barrier, the server may only lag behind. A newer znode at the same path shows that the old one was
    /// deleted.
    private func handleAbsence(in read: Read, isReplaced: Bool = false) {
        guard !isLetGo else { return }
        if read.barrier != nil || isReplaced { lose(.znodeDeleted) } else { self.read(behindBarrier: true) }
    }

    /// Whether a heartbeat may check the znode, which requires permission to read it.
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

    /// Fixes the limit of the validity at the session's current validity, which is not extended until the watch is set
    /// again.
    ///
    /// Without the watch, evidence for the session could hide the deletion of the znode.
    private func freeze() {
        let known = session.validUntil.nanoseconds
        _ = capNanoseconds.compareExchange(expected: .max, desired: known, ordering: .acquiringAndReleasing)
        core.unsettleHold(self)
    }

    /// Records that the watch is set: from now on the znode is valid for as long as its session is.
    func confirmWatch() {
        let current = capNanoseconds.load(ordering: .acquiring)
        guard current != Self.lost else { return }
        _ = capNanoseconds.compareExchange(expected: current, desired: .max, ordering: .acquiringAndReleasing)
        session.validityChanged()
    }
}
