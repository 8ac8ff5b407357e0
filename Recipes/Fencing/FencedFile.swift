internal import Dispatch
public import Metrics

/// A file that is written with fencing tokens: a stale one is refused.
///
/// The file holds the value alone, so that every program can read it, and is replaced as a whole: who reads sees the old
/// or the new value. The ``FencingRegisters`` are beside it in `PATH.token`, written before the value: a crash in between
/// refuses older writers all the same. Writers exclude each other by `flock` on `PATH.lock`; on network file systems that
/// holds as far as they keep that promise.
///
/// Writes run one after the other on a dispatch queue of their own, so that nothing blocks the cooperative pool. A write in
/// progress is not cancelled.
public final class FencedFile: FencedWriter {
    /// The file.
    public let path: String
    private let counters: FencedWriteCounters
    /// A serial queue has a thread of its own while it works; a concurrent one would share those of the cooperative pool.
    private let queue = DispatchQueue(label: "zookeeper.fenced-file")

    /// Makes a writer; nothing is touched.
    ///
    /// - Parameters:
    ///   - path: The file, in a directory that exists.
    ///   - metricsFactory: Where writes are counted; `nil` takes the one that swift-metrics was set up with.
    public init(path: String, metricsFactory: (any MetricsFactory)? = nil) {
        self.path = path
        counters = FencedWriteCounters(target: path, factory: metricsFactory)
    }

    /// How many writes were taken, and how many refused.
    public var counts: FencedWriteCounts { counters.current }

    /// Reads the highest tokens that have written.
    ///
    /// - Throws: ``FencingError`` with code `.unreadable` or `.fileSystem`.
    public func registers() async throws -> FencingRegisters {
        let files = FencedFiles(path)
        return try await run { try files.registers() }
    }

    /// Replaces the file.
    ///
    /// The value is on the disk when this returns. Waits for other writers, as long as they take.
    ///
    /// - Throws: ``FencingError`` with code `.staleToken`, and nothing was written; `.unreadable` when `PATH.token` was
    ///   written by something else; `.fileSystem`.
    public func write(_ value: [UInt8], token: FencingToken) async throws {
        let files = FencedFiles(path)
        do {
            try await run { try files.write(value, token: token) }
        } catch let error as FencingError where error.code == .staleToken {
            counters.reject()
            throw error
        }
        counters.accept()
    }

    private func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Swift.Result(catching: work)) }
        }
    }
}
