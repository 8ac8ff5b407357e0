internal import ZooKeeper

/// The znodes that an operation on holds depends on, as read in one round trip.
struct HoldFacts: Sendable, Equatable {
    enum Signal: Sendable, Equatable {
        case none
        /// The signal belongs to a window.
        case window
        /// The signal belongs to holds; whether a window was requested since.
        case holds(version: Int32, hasWindow: Bool)
    }

    /// The data of `BASE/windows`, and its version, which each change of the holds increases.
    var records: [UInt8]
    var version: Int32
    /// The owners of the holds.
    var owners: [String]
    var signal: Signal
}

/// One operation of a transaction that changes holds.
enum HoldChange: Sendable, Equatable {
    /// Write the records of windows unchanged, so that only one of several concurrent changes succeeds.
    case touchRecords([UInt8], version: Int32)
    case create(String, [UInt8])
    case write(String, [UInt8])
    case remove(String)
    /// Create the signal of the holds.
    case createSignal(owner: String)
    /// Check that a signal exists.
    case checkSignal
    case removeSignal(version: Int32)
}

/// Decides how a hold is made or removed: one action at a time, each followed by the event that reports its outcome.
///
/// Each change is one transaction, so that a hold exists completely or not at all, whenever the operator's process
/// ends. The transaction keeps these rules:
/// - A persistent signal exists only while there is a hold. It is created with the first hold and deleted with the last
///   one.
/// - If a window has an ephemeral signal, the hold gets none: the transaction that ends the window creates it. If the
///   window crashes, the gates find the hold before they open, and create the signal.
/// - The last hold is not removed while a window needs the persistent signal.
struct HoldStateMachine: Sendable {
    enum Goal: Sendable, Equatable {
        /// Make the hold of an owner, with the data of its znode.
        case hold(String, [UInt8])
        case remove(String)
    }

    enum Action: Equatable {
        /// Read the facts.
        case read
        case createStructure
        case execute([HoldChange])
        /// Wait until no window exists that was requested during a hold.
        case awaitWindowEnd
        case pause
        /// The goal is reached; whether this call has created or removed the hold.
        case finish(Bool)
        case fail(ZooKeeperError)
    }

    enum Event {
        /// The facts; `nil` if the exclusive mode has no znodes.
        case found(HoldFacts?)
        case done
        case failed(ZooKeeperError)
    }

    private let goal: Goal
    private var action = Action.read
    /// The result if the last transaction has succeeded.
    private var result = false
    /// How often in a row the signal could not be deleted because it has a child that is no window.
    private var refusals = 0
    /// Whether a transaction that created or removed the hold may have been executed.
    private var mayHaveChanged = false

    init(_ goal: Goal) {
        self.goal = goal
    }

    mutating func start() -> Action {
        go(.read)
    }

    mutating func handle(_ event: Event) -> Action {
        switch (action, event) {
        case (_, .failed(let error)): handle(error)
        case (.read, .found(let facts)): plan(facts)
        case (.execute, _): go(.finish(result))
        default: go(.read)
        }
    }

    private mutating func handle(_ error: ZooKeeperError) -> Action {
        if case .execute = action {
            if error.isOutcomeUnknown, result { mayHaveChanged = true }
            // A window may have been requested and have ended in between, but hardly three times in a row.
            refusals = error.code == .notEmpty ? refusals + 1 : 0
            if refusals == 3 { return go(.fail(error)) }
            // Somebody else has changed the holds or the signal since they were read.
            let isConflict = [.badVersion, .noNode, .nodeExists, .notEmpty, .noChildrenForEphemerals].contains(
                error.code)
            if isConflict { return go(.pause) }
        }
        return go(error.isTransient ? .pause : .fail(error))
    }

    private mutating func plan(_ facts: HoldFacts?) -> Action {
        switch goal {
        case .hold(let owner, let record):
            guard let facts else { return go(.createStructure) }
            return hold(owner, record, facts)
        case .remove(let owner):
            guard let facts else { return go(.finish(mayHaveChanged)) }
            return remove(owner, facts)
        }
    }

    private mutating func hold(_ owner: String, _ record: [UInt8], _ facts: HoldFacts) -> Action {
        let exists = facts.owners.containsBytes(of: owner)
        let signal: HoldChange = facts.signal == .none ? .createSignal(owner: owner) : .checkSignal
        return execute(
            [exists ? .write(owner, record) : .create(owner, record), signal], facts,
            result: !exists || mayHaveChanged)
    }

    private mutating func remove(_ owner: String, _ facts: HoldFacts) -> Action {
        let others = facts.owners.filter { !$0.hasBytes(of: owner) }
        let exists = others.count < facts.owners.count
        guard others.isEmpty, case .holds(let version, let hasWindow) = facts.signal else {
            return exists ? execute([.remove(owner)], facts, result: true) : go(.finish(mayHaveChanged))
        }
        if hasWindow {
            refusals = 0
            return go(.awaitWindowEnd)
        }
        // Without a hold, somebody has deleted the last one, but not the signal.
        return execute(
            (exists ? [.remove(owner)] : []) + [.removeSignal(version: version)], facts,
            result: exists || mayHaveChanged)
    }

    private mutating func execute(_ changes: [HoldChange], _ facts: HoldFacts, result: Bool) -> Action {
        self.result = result
        return go(.execute([.touchRecords(facts.records, version: facts.version)] + changes))
    }

    private mutating func go(_ action: Action) -> Action {
        self.action = action
        return action
    }
}

extension ExclusiveMode {
    /// Makes or removes a hold.
    ///
    /// - Returns: Whether this call has created or removed it.
    func perform(_ goal: HoldStateMachine.Goal) async throws -> Bool {
        var machine = HoldStateMachine(goal)
        var backoff = client.makeBackoff(.conflict)
        var action = machine.start()
        while true {
            try Task.checkCancellation()
            switch action {
            case .finish(let result): return result
            case .fail(let error): throw error
            case .pause:
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
                action = machine.handle(.done)
            case .read, .createStructure, .execute, .awaitWindowEnd:
                do {
                    action = machine.handle(try await attempt(action))
                } catch let error as ZooKeeperError {
                    action = machine.handle(.failed(error))
                }
            }
        }
    }

    private func attempt(_ action: HoldStateMachine.Action) async throws -> HoldStateMachine.Event {
        switch action {
        case .read: return .found(try await readHolds())
        case .createStructure: try await createStructure()
        case .execute(let changes): _ = try await client.sendAll(.multi(changes.flatMap(operations)))[0].get()
        case .awaitWindowEnd: try await client.awaitDeletion(of: heldWindowPath)
        case .pause, .finish, .fail: break
        }
        return .done
    }

    private func readHolds() async throws -> HoldFacts? {
        let results = try await client.sendAll(
            .sync(path: windowsPath), .data(path: windowsPath), .children(path: windowsPath), .data(path: signalPath),
            .data(path: heldWindowPath))
        _ = try results[0].get()
        guard let (records, stat) = try results[1].replyIfExists()?.data,
            let names = try results[2].replyIfExists()?.children.names
        else { return nil }
        var facts = HoldFacts(
            records: records, version: stat.dataVersion, owners: ExclusiveHold.owners(among: names), signal: .none)
        let hasWindow = if case .failure(let error) = results[4] { error.code != .noNode } else { true }
        switch results[3] {
        case .success(let reply):
            let (data, stat) = try reply.data
            facts.signal =
                SignalRecord(data).isHold ? .holds(version: stat.dataVersion, hasWindow: hasWindow) : .window
        // Without permission to read it. Only the signal of holds is persistent.
        case .failure(let error) where error.code == .noAuth:
            guard let stat = try await client.sendAll(.exists(path: signalPath))[0].replyIfExists()?.stat else { break }
            let isHold = stat.ephemeralOwner == nil
            facts.signal = isHold ? .holds(version: stat.dataVersion, hasWindow: hasWindow) : .window
        case .failure(let error) where error.code == .noNode: break
        case .failure(let error): throw error
        }
        return facts
    }

    /// Returns the operations of a transaction.
    func operations(for change: HoldChange) -> [TransactionOperation] {
        switch change {
        case .touchRecords(let records, let version): return [.setData(records, at: windowsPath, version: version)]
        case .create(let owner, let record): return [.create(holdPath(owner), data: record)]
        case .write(let owner, let record): return [.setData(record, at: holdPath(owner))]
        case .remove(let owner): return [.delete(holdPath(owner))]
        case .createSignal(let owner):
            let signal = SignalRecord(holdOf: owner).bytes
            // The second version: the signals of windows have the first one, and are never deleted instead.
            return [.create(signalPath, data: signal), .setData(signal, at: signalPath)]
        case .checkSignal: return [.check(signalPath)]
        case .removeSignal(let version): return [.delete(signalPath, version: version)]
        }
    }
}
