internal import Metrics
internal import Synchronization

/// A store that refuses a write with a stale fencing token, by the rule of ``FencingRegisters``.
public protocol FencedWriter: Sendable {
    /// Writes a value.
    ///
    /// - Throws: ``FencingError`` with code `.staleToken`, and nothing was written.
    func write(_ value: [UInt8], token: FencingToken) async throws

    /// How many writes were taken, and how many refused.
    var counts: FencedWriteCounts { get }
}

/// How many fenced writes were taken, and how many refused because of their token.
public struct FencedWriteCounts: Sendable, Hashable {
    /// Writes that happened.
    public var accepted = 0
    /// Writes that somebody with a higher token had overtaken.
    public var rejected = 0

    /// Makes counts, all zero.
    public init() {}
}

/// Counts for a writer, and for swift-metrics: `zookeeper.fenced.writes`, by `target` and `outcome`.
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
