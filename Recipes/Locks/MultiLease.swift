public import ZooKeeper

/// Several locks while they are held together; lost with the first of them.
public final class MultiLease: Sendable {
    /// The locks' leases, in the order of their paths; they are given up by this one.
    public let leases: [Lease]
    /// The locks' paths, in their order.
    public var paths: [String] { leases.map(\.path) }
    private let loss = OneShot<(LossReason, RecipeError)>()

    init(_ leases: [Lease]) {
        self.leases = leases
        for lease in leases {
            lease.place.loss.observe { [loss, path = lease.path] reason in
                loss.set((reason, RecipeError(.lost, in: .lock, path: path, reason: reason)))
            }
        }
    }

    /// Whether all locks are surely held at this moment; see ``Lease/isValid``.
    public var isValid: Bool { leases.allSatisfy(\.isValid) }

    /// Until when all locks are surely held, as far as is known now; `nil` when one is not held any more.
    public var validUntil: ContinuousClock.Instant? {
        let instants = leases.map(\.validUntil)
        return instants.contains(nil) ? nil : instants.compactMap(\.self).min()
    }

    /// How long all locks are surely held from now on if nothing more is heard of the ensemble.
    public var timeLeft: Duration { leases.map(\.timeLeft).min() ?? .zero }

    /// Waits until one of the locks is lost.
    ///
    /// - Throws: `CancellationError` when the task is cancelled.
    public var lost: LossReason {
        get async throws { try await loss.wait().0 }
    }

    /// The fencing token of one of the locks: what is written under several locks is ordered by each one's own.
    ///
    /// - Returns: `nil` when the path is not one of the locks'.
    public func fencingToken(at path: String) -> FencingToken? {
        leases.first { $0.path.hasBytes(of: path) }?.fencingToken
    }

    /// Executes operations as one transaction that succeeds only while all locks are held.
    ///
    /// - Parameter operations: As for `ZooKeeperClient.transaction(_:)`; at least one.
    /// - Returns: One result for each operation, in their order.
    /// - Throws: As ``Lease/guarded(_:)``.
    /// - Complexity: One request.
    @discardableResult
    public func guarded(_ operations: [TransactionOperation]) async throws -> [TransactionResult] {
        let holding = Holding(leases.flatMap { $0.place.holding.nodes })
        guard isValid, let results = try await holding.guarded(operations) else {
            throw leases.map(\.notHeldError).first { $0.code == .released } ?? lostError
        }
        return results
    }

    /// Gives all locks up, at the same time.
    ///
    /// - Returns: What became of each one's znode, by path; see ``Lease/release()``.
    @discardableResult
    public func release() async -> [ZNodeName: ReleaseOutcome] {
        await Self.release(leases)
    }

    /// Gives leases up, whatever becomes of the calling task.
    @discardableResult
    static func release(_ leases: [Lease]) async -> [ZNodeName: ReleaseOutcome] {
        await withTaskGroup(of: (String, ReleaseOutcome).self) { group in
            for lease in leases.reversed() { group.addTask { (lease.path, await lease.release()) } }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }
}

extension MultiLease: HeldForBody {
    var places: [LockPlace] { leases.map(\.place) }
    var hasHeldOn: Bool { leases.allSatisfy(\.hasHeldOn) }

    var lostError: RecipeError {
        loss.value?.1 ?? (leases.first { !$0.hasHeldOn } ?? leases[0]).lostError
    }

    func end() async { await release() }
}
