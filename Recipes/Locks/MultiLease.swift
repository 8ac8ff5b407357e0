public import ZooKeeper

/// A handle to several locks that are held together; it is lost with the first lock that is lost.
public final class MultiLease: Sendable {
    /// The leases of the locks, in the order of their paths; releasing this handle releases them.
    public let leases: [Lease]
    /// The paths of the locks, in sorted order.
    public var paths: [String] { leases.map(\.path) }
    private let loss = OneShot<(LossReason, RecipeError)>()

    init(_ leases: [Lease]) {
        self.leases = leases
        for lease in leases {
            lease.place.loss.observe { [loss, path = lease.path] reason in
                loss.set((reason, RecipeError(.lost, in: .lock, path: path, lossReason: reason)))
            }
        }
    }

    /// Whether all locks are guaranteed to be held at this moment; see ``Lease/isValid``.
    public var isValid: Bool { leases.allSatisfy(\.isValid) }

    /// The time until which all locks are guaranteed to be held, as last observed; `nil` if one is not held.
    public var validUntil: ContinuousClock.Instant? {
        let instants = leases.map(\.validUntil)
        return instants.contains(nil) ? nil : instants.compactMap(\.self).min()
    }

    /// The time for which all locks are guaranteed to be held if the ensemble sends no further answer.
    public var timeLeft: Duration { leases.map(\.timeLeft).min() ?? .zero }

    /// Waits until one of the locks is lost.
    ///
    /// - Throws: `CancellationError` if the task is cancelled.
    /// - Complexity: No request is sent.
    public func waitUntilLost() async throws -> LossReason {
        try await loss.wait().0
    }

    /// Returns the fencing token of one of the locks.
    ///
    /// Each resource compares the tokens of its own lock only.
    ///
    /// - Parameter path: The path of the lock.
    /// - Returns: `nil` if none of the locks has this path.
    public func fencingToken(at path: String) -> FencingToken? {
        leases.first { $0.path.hasBytes(of: path) }?.fencingToken
    }

    /// Executes operations as one transaction that succeeds only while all locks are held.
    ///
    /// - Parameter operations: The operations, as for `ZooKeeperClient.transaction(_:)`; at least one.
    /// - Returns: One result for each operation, in the same order.
    /// - Throws: The errors of ``Lease/transaction(_:)``.
    /// - Complexity: 1 request.
    @discardableResult
    public func transaction(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        let holding = Holding(leases.flatMap { $0.place.holding.nodes })
        guard isValid, let results = try await holding.transaction(operations) else {
            throw leases.map(\.notHeldError).first { $0.code == .released } ?? lostError
        }
        return results
    }

    /// Releases all locks concurrently.
    ///
    /// - Returns: The outcome for each znode, by the path of the lock; see ``Lease/release()``.
    /// - Complexity: 1 request for each lock, concurrently.
    @discardableResult
    public func release() async -> [ZNodeName: ReleaseOutcome] {
        await Self.release(leases)
    }

    /// Releases leases, even if the calling task is cancelled.
    @discardableResult
    static func release(_ leases: [Lease]) async -> [ZNodeName: ReleaseOutcome] {
        await withTaskGroup(of: (String, ReleaseOutcome).self) { group in
            for lease in leases.reversed() { group.addTask { (lease.path, await lease.release()) } }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }
}

extension MultiLease: ScopedHold {
    var places: [HeldLock] { leases.map(\.place) }
    var hasHeldOn: Bool { leases.allSatisfy(\.hasHeldOn) }

    var lostError: RecipeError {
        loss.value?.1 ?? (leases.first { !$0.hasHeldOn } ?? leases[0]).lostError
    }

    func end() async { await release() }
}
