internal import Metrics
internal import Synchronization

/// A store that refuses writes with a stale fencing token, by the rule of ``FencingRegisters``.
public protocol FencedWriter: Sendable {
    /// Writes a value.
    ///
    /// - Parameters:
    ///   - value: The value to write.
    ///   - token: The fencing token of the grant under which the value is written.
    /// - Throws: ``FencingError`` with code `.staleToken`, in which case nothing was written.
    /// - Complexity: Depends on the store.
    func write(_ value: [UInt8], token: FencingToken) async throws

    /// The number of accepted and rejected writes.
    var counts: FencedWriteCounts { get }
}

/// The number of fenced writes that were accepted, and of those that were rejected because of their token.
public struct FencedWriteCounts: Sendable, Hashable {
    /// The number of executed writes.
    public var accepted = 0
    /// The number of writes that were refused because a higher token had written before.
    public var rejected = 0

    /// Creates counts that are zero.
    public init() {}
}

/// The counters of a writer, also reported to swift-metrics as `zookeeper.fenced.writes` with `target` and `outcome`.
final class FencedWriteCounters: Sendable {
    private let counts = Mutex(FencedWriteCounts())
    private let accepted: Counter
    private let rejected: Counter

    init(target: String, factory: (any MetricsFactory)?) {
        let factory = factory ?? MetricsSystem.factory
        func counter(_ outcome: String) -> Counter {
            Counter(
                label: "zookeeper.fenced.writes", dimensions: [("target", target), ("outcome", outcome)],
                factory: factory)
        }
        (accepted, rejected) = (counter("accepted"), counter("rejected"))
    }

    var current: FencedWriteCounts { counts.withLock { $0 } }

    func accept() {
        counts.withLock { $0.accepted += 1 }
        accepted.increment()
    }

    func reject() {
        counts.withLock { $0.rejected += 1 }
        rejected.increment()
    }
}
