internal import Dispatch
public import Metrics

/// A file that is written with fencing tokens and refuses stale ones.
///
/// The file holds only the value, so every program can read it. It is replaced atomically: a reader sees the old value
/// or the new one. The ``FencingRegisters`` are stored in `PATH.token`, which is written before the value. If a crash
/// happens in between, writes with older tokens are still refused. Writers exclude each other by `flock` on
/// `PATH.lock`. On a network file system, this exclusion is as reliable as the file system's `flock`.
///
/// Writes run one after another on a dispatch queue of their own, so they do not block the cooperative thread pool. A
/// write in progress is not cancelled.
public final class FencedFile: FencedWriter {
    /// The path of the file.
    public let path: String
    private let counters: FencedWriteCounters
    /// A serial queue has its own thread while it works; a concurrent queue would use threads of the cooperative pool.
    private let queue = DispatchQueue(label: "zookeeper.fenced-file")

    /// Creates a writer without accessing the file system.
    ///
    /// - Parameters:
    ///   - path: The path of the file, in a directory that exists.
    ///   - metricsFactory: The factory for the counters of writes; `nil` uses the factory that swift-metrics was
    ///     bootstrapped with. Default: `nil`.
    public init(path: String, metricsFactory: (any MetricsFactory)? = nil) {
        self.path = path
        counters = FencedWriteCounters(target: path, factory: metricsFactory)
    }

    /// The number of accepted and rejected writes.
    public var counts: FencedWriteCounts { counters.current }

    /// Returns the highest tokens that have written the file.
    ///
    /// - Returns: The registers; empty if the file has never been written with a token.
    /// - Throws: ``FencingError`` with code `.unreadable` or `.fileSystem`.
    /// - Complexity: One file is read. No request is sent to the ensemble.
    public func registers() async throws -> FencingRegisters {
        let files = FencedFiles(path)
        return try await run { try files.registers() }
    }

    /// Replaces the contents of the file.
    ///
    /// The value has been written to disk when the method returns. The method waits for other writers without limit.
    ///
    /// - Parameters:
    ///   - value: The new contents.
    ///   - token: The fencing token of the grant under which the file is written.
    /// - Throws: ``FencingError`` with code `.staleToken`, in which case nothing was written; `.unreadable` if another
    ///   program has written `PATH.token`; `.fileSystem`.
    /// - Complexity: One file is replaced, or two if the registers change; each replacement takes two `fsync` calls. No
    ///   request is sent to the ensemble.
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
