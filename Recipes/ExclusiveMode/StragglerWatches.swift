internal import Logging
internal import Synchronization
internal import ZooKeeper

/// Watches the contenders ahead of a window until the window no longer waits for them, for whatever reason.
///
/// The absence of a znode counts only on a connection on which a write of this session was committed. A server that is
/// behind may not have the znode *yet*. The creation of the window's own znodes is such a write. After a reconnect, a
/// barrier is sent before the next read.
final class StragglerWatches: Sendable {
    enum Sighting: Sendable, Equatable {
        case seen(String, data: [UInt8])
        case gone(String)
        /// The znode exists, without permission to read it.
        case unreadable(String)
        /// The znode could not be read or watched, and must be read again after a pause.
        case failed(String, ZooKeeperError)
        /// The names of the znodes that exist.
        case listed(Set<ZNodeName>)
        /// The directory could not be listed or watched.
        case notListed
        /// An operator requests the eviction of a processor.
        case evictionRequested(String)
    }

    private struct State {
        var isOver = false
        /// Whether the directory is listed again after each change.
        var isListing = false
        /// The observations that were not taken yet.
        var sightings: [Sighting] = []
        var lastNumber = 0
        var watches: [Int: OneShotWatch] = [:]
        /// The requests that are answered on one connection, after a commit on it.
        var looks: Looks
    }

    private final class Looks: Sendable {
        let batch: RequestBatch
        /// Whether a write was committed on the connection.
        let isCommitted: Atomic<Bool>
        /// Whether the barrier failed, or the connection was lost.
        let isOver = Atomic(false)

        init(_ batch: RequestBatch, isCommitted: Bool) {
            self.batch = batch
            self.isCommitted = Atomic(isCommitted)
        }

        /// Whether a znode that is not found does not exist.
        ///
        /// Another thread may have sent its read before the barrier.
        var showAbsence: Bool { isCommitted.load(ordering: .acquiring) && !isOver.load(ordering: .acquiring) }

        func markOver() { isOver.store(true, ordering: .releasing) }
    }

    private let client: ZooKeeperClient
    private let session: SessionHandle
    private let directory: String
    private let own: String
    private let wakeUp: WakeUp
    private let state: Mutex<State>

    /// Creates the watches of a window, without reading or watching a znode yet.
    ///
    /// - Parameters:
    ///   - request: The window, as it was requested.
    ///   - mode: The mode of the window.
    ///   - wakeUp: Signalled when there is an observation to take.
    init(of request: WindowRequest, in mode: ExclusiveMode, wakeUp: WakeUp) {
        (client, directory) = (mode.client, mode.locksPath)
        self.wakeUp = wakeUp
        (session, own) = (request.session, request.writeNode.path)
        state = Mutex(State(looks: Looks(request.batch, isCommitted: true)))
    }

    /// Returns the observations since the last call.
    func take() -> [Sighting] {
        state.withLock { state in
            defer { state.sightings = [] }
            return state.sightings
        }
    }

    private func tell(_ sighting: Sighting) {
        state.withLock { $0.sightings.append(sighting) }
        wakeUp.signal()
    }

    /// Lists the contenders, now and after each change, until one of them is looked at.
    ///
    /// Many processors that pause together cost a few lists, and not a read and an event each.
    func list() {
        state.withLock { $0.isListing = true }
        listOnce()
    }

    private func listOnce() {
        guard state.withLock({ $0.isListing }) else { return }
        watch(directory, .children) { watches, _ in
            watches.listOnce()
        } ask: { [self] number, watch in
            let looks = currentLooks()
            session.post(.children(path: watch.path, watch: watch.sink), batch: looks.batch) { [self] result in
                if case .failure = result { drop(number) }
                if case .failure(let error) = result, error.code == .connectionLoss { looks.markOver() }
                if case .success(.children(let names, _)) = result, looks.showAbsence {
                    tell(.listed(Set(names: names)))
                } else {
                    tell(.notListed)
                }
            }
        }
    }

    /// Reads a contender's data, and watches it.
    func look(at node: String) {
        state.withLock { $0.isListing = false }
        watch(ZNodePath.child(node, of: directory), .data) { watches, event in
            watches.handle(event, on: node)
        } ask: { [self] number, watch in
            let looks = currentLooks()
            session.post(.data(path: watch.path, watch: watch.sink), batch: looks.batch) { [self] result in
                if case .failure = result { drop(number) }
                switch result {
                case .success(.data(let data, _)): tell(.seen(node, data: data))
                case .failure(let error) where error.code == .noNode: tellAbsence(of: node, looks)
                case .failure(let error) where error.code == .noAuth: lookInDirectory(for: node)
                case .failure(let error): tellFailure(error, of: node, looks)
                default: break
                }
            }
        }
    }

    /// Watches the directory instead of a znode, for lack of permission to read the znode.
    ///
    /// Servers do not notify about the deletion of such a znode (CVE-2024-23944). The watch on its directory detects
    /// it.
    private func lookInDirectory(for node: String) {
        watch(directory, .children) { watches, event in
            watches.handle(event, on: node)
        } ask: { [self] number, watch in
            let looks = currentLooks()
            session.post(.children(path: watch.path, watch: watch.sink), batch: looks.batch) { [self] result in
                if case .failure = result { drop(number) }
                switch result {
                case .success(.children(let names, _)) where names.containsBytes(of: node): tell(.unreadable(node))
                case .failure(let error) where error.code != .noNode: tellFailure(error, of: node, looks)
                default: tellAbsence(of: node, looks)
                }
            }
        }
    }

    private func tellAbsence(of node: String, _ looks: Looks) {
        tell(looks.showAbsence ? .gone(node) : .failed(node, ZooKeeperError(.connectionLoss, path: node)))
    }

    private func tellFailure(_ error: ZooKeeperError, of node: String, _ looks: Looks) {
        if error.code == .connectionLoss { looks.markOver() }
        tell(.failed(node, error))
    }

    /// Returns the group of reads on the current connection; starts a new group with a barrier if the last connection
    /// was lost.
    private func currentLooks() -> Looks {
        let (looks, isNew) = state.withLock { state in
            guard state.looks.isOver.load(ordering: .acquiring) else { return (state.looks, false) }
            state.looks = Looks(RequestBatch(), isCommitted: false)
            return (state.looks, true)
        }
        if isNew {
            session.post(.barrier(at: own), batch: looks.batch) { result in
                switch result.asBarrier(before: .success(.none)) {
                case .success: looks.isCommitted.store(true, ordering: .releasing)
                case .failure: looks.markOver()
                }
            }
        }
        return looks
    }

    /// Takes the requests of operators to the window, which a write to its own znode announces.
    func takeRequests(logger: Logger) {
        let own = ZNodePath.name(of: own)
        Task { [client, session, directory, weak self] in
            var backoff = client.makeBackoff(.quick)
            while !session.hasEnded {
                do {
                    let taken = try await ContenderRequest.take(for: own, inQueue: directory, session: session)
                    for request in taken.requests where request.kind == .evict {
                        guard let processor = request.details["processor"] else { continue }
                        logger.notice(
                            "An operator requests the eviction of a processor",
                            metadata: [
                                "zookeeper.processor": "\(EscapedText.escaped(processor))",
                                "zookeeper.operator": "\(EscapedText.escaped(request.requesterID))",
                                "zookeeper.reason": "\(EscapedText.escaped(request.reason))",
                            ])
                        self?.tell(.evictionRequested(processor))
                    }
                    if taken.isComplete { return }
                    try? await client.clock.sleep(until: client.clock.now + backoff.pause())
                } catch let error as ZooKeeperError where error.isTransientInSession {
                    try? await client.clock.sleep(until: client.clock.now + backoff.pause())
                } catch {
                    return logger.debug("A request was not read", metadata: ["zookeeper.reason": "\(error)"])
                }
            }
        }
    }

    /// Removes all watches; requests that are still in progress set none.
    func end() {
        let watches = state.withLock { state in
            state.isOver = true
            defer { state.watches = [:] }
            return state.watches.orderedValues
        }
        for watch in watches { watch.giveUp() }
    }

    /// Sets a watch with a read.
    ///
    /// - Parameters:
    ///   - handler: Called with the event, unless that is the end of the session.
    ///   - ask: Sends the read, with the number of the watch for ``drop(_:)``.
    private func watch(
        _ path: String, _ kind: WatchedKind, handler: @escaping @Sendable (StragglerWatches, WatchEvent) -> Void,
        ask: (Int, OneShotWatch) -> Void
    ) {
        let new: (Int, OneShotWatch)? = state.withLock { state in
            guard !state.isOver else { return nil }
            state.lastNumber += 1
            let number = state.lastNumber
            let watch = OneShotWatch(client, path: path, kind: kind) { [weak self] event in
                guard let self else { return }
                self.state.withLock { _ = $0.watches.removeValue(forKey: number) }
                if event.kind != .sessionEnded { handler(self, event) }
            }
            state.watches[number] = watch
            return (number, watch)
        }
        if let (number, watch) = new { ask(number, watch) }
    }

    /// Removes the watch of a failed read, which is not set, so that repeated attempts accumulate nothing.
    private func drop(_ number: Int) {
        state.withLock { $0.watches.removeValue(forKey: number) }?.giveUp()
    }

    private func handle(_ event: WatchEvent, on node: String) {
        if event.kind == .deleted {
            tell(.gone(node))
        } else {
            look(at: node)
        }
    }
}
