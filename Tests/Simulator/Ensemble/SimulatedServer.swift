internal import ZooKeeper
internal import ZooKeeperTransport

/// One server of a simulated ensemble.
final class SimulatedServer {
    enum Role {
        case down
        /// Looks for a leader and serves nobody.
        case looking
        case following(Following)
        case leading(Leading)
    }

    let index: Int
    let name: String
    unowned let ensemble: SimulatedEnsemble
    let simulation: Simulation
    /// What it runs on: it stands still with it, and has its clock.
    let machine: SimulatedProcess
    var settings: EnsembleSettings { ensemble.settings }
    var role = Role.down

    // On disk.
    var tree: SimulatedTree
    /// Everything logged, applied or not; a server alone keeps none.
    var log: [Transaction] = []
    var appliedCount = 0
    /// The last epoch that it promised to follow, and the last that it followed.
    var acceptedEpoch: Int64 = 0
    var currentEpoch: Int64 = 0
    /// What its clients are told to be the last transaction.
    var appliedZXID: Int64 = 0

    // In memory.
    var connections: [ServerConnection] = []
    var bySession: [Int64: ServerConnection] = [:]
    /// Requests of sessions, also of those whose connection has gone.
    var queues: [Int64: RequestQueue] = [:]
    /// Where an answer from the ensemble belongs.
    var waiting: [Int: RequestQueue] = [:]
    var revalidating: [Int: ServerConnection] = [:]
    var dataWatches = WatchTable()
    var childWatches = WatchTable()
    var events: [TreeEvent] = []

    init(_ index: Int, in ensemble: SimulatedEnsemble) {
        self.index = index
        self.ensemble = ensemble
        name = "s\(index + 1)"
        simulation = ensemble.simulation
        let rates = ensemble.settings.clockRates
        machine = SimulatedProcess(name, in: simulation, clockRate: rates[index % rates.count])
        tree = SimulatedTree(configuration: ensemble.settings.configuration)
    }

    deinit {
        for connection in connections { connection.isOpen = false }
    }

    var lastLogged: Int64 { log.last?.zxid ?? 0 }

    var isServing: Bool {
        switch role {
        case .down, .looking: false
        case .following(let following): following.isServing
        case .leading(let leading): leading.isServing
        }
    }

    var leading: Leading? {
        if case .leading(let leading) = role { return leading }
        return nil
    }

    func note(_ text: @autoclosure () -> String) {
        simulation.note(simulation.current === machine ? text() : "\(self.name) \(text())")
    }

    /// Milliseconds since 1970; set by a time service, however fast the server counts spans of time.
    var wallClock: Int64 { settings.epoch + simulation.now.nanoseconds / 1_000_000 }

    // MARK: What is committed

    /// Applies what the log holds up to a zxid.
    func commit(upTo zxid: Int64) {
        while appliedCount < log.count, log[appliedCount].zxid <= zxid {
            appliedCount += 1
            apply(log[appliedCount - 1])
        }
    }

    /// Does a transaction, tells those who watch, and answers who asked for it.
    func apply(_ transaction: Transaction) {
        events.removeAll(keepingCapacity: true)
        let reply = tree.apply(transaction, events: &events)
        appliedZXID = transaction.zxid
        noteCommitted(transaction)
        if let leading { leading.applied(transaction, on: self) }
        if !events.isEmpty { fireWatches() }
        let isAnswered = answer(transaction, reply)
        guard case .closeSession = transaction.change else { return }
        queues[transaction.session] = nil
        if !isAnswered, let connection = bySession[transaction.session] { close(connection) }
    }

    /// What stands before a committed transaction was committed with it, also what was applied on looking for a leader.
    private func noteCommitted(_ transaction: Transaction) {
        var first = appliedCount
        while first > 0, log[first - 1].zxid > ensemble.lastCommitted { first -= 1 }
        for earlier in log[first..<appliedCount] { ensemble.noteCommitted(earlier) }
        ensemble.noteCommitted(transaction)
    }

    /// Applies all that was logged, as a server does that begins to look for a leader.
    func fastForward() {
        while appliedCount < log.count {
            events.removeAll(keepingCapacity: true)
            _ = tree.apply(log[appliedCount], events: &events)
            appliedZXID = log[appliedCount].zxid
            appliedCount += 1
        }
    }

    /// Forgets what stands behind a part of the log.
    func truncate(to count: Int) {
        log.removeSubrange(count...)
        guard appliedCount > count else { return }
        tree = SimulatedTree(configuration: settings.configuration)
        appliedCount = 0
        appliedZXID = 0
        fastForward()
    }

    // MARK: Watches

    private func fireWatches() {
        for event in events {
            let (path, isReadable) = (event.path, event.isReadable)
            switch event.kind {
            case .created:
                _ = fire(&dataWatches, path, .created, isReadable)
                _ = fire(&childWatches, Path.parent(of: path), .childrenChanged, event.isParentReadable)
            case .deleted:
                let told = fire(&dataWatches, path, .deleted, isReadable)
                _ = fire(&childWatches, path, .deleted, isReadable, exceptTo: told)
                _ = fire(&childWatches, Path.parent(of: path), .childrenChanged, event.isParentReadable)
            case .dataChanged:
                _ = fire(&dataWatches, path, .dataChanged, isReadable)
            }
        }
    }

    private func fire(
        _ table: inout WatchTable, _ path: String, _ kind: TransportWatchEvent.Kind, _ isReadable: Bool,
        exceptTo told: [ServerConnection] = []
    ) -> [ServerConnection] {
        if table.isEmpty { return [] }
        let watchers = table.take(path)
        guard isReadable else { return watchers }
        for watcher in watchers where watcher.isOpen && !told.contains(where: { $0 === watcher }) {
            tell(watcher, kind, path)
        }
        return watchers
    }

    func tell(_ connection: ServerConnection, _ kind: TransportWatchEvent.Kind, _ path: String) {
        ensemble.watchEvents += 1
        note("#\(connection.number) < \(kind) \(path)")
        connection.send(.event(TransportWatchEvent(kind: kind, path: path)))
    }
}
