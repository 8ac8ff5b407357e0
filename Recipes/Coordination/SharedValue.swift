public import Logging
public import ZooKeeper

/// A value that was read, with the stat that a compare-and-set needs.
public struct VersionedValue: Sendable, Hashable {
    /// The data of the znode.
    public var data: [UInt8]
    /// The stat of the znode, including its version and the transaction that created it.
    public var stat: ZNodeStat

    /// Creates a versioned value, for tests.
    public init(data: [UInt8], stat: ZNodeStat) {
        self.data = data
        self.stat = stat
    }
}

/// A value that processes share and replace by compare-and-set.
///
/// ```swift
/// let limit = try SharedValue(client: client, path: "/service/limit", initial: [10])
/// try await limit.update { $0.map { $0 &+ 1 } }
/// ```
///
/// The znode is persistent, like that of Apache Curator's `SharedValue`. It is created with the initial value if it
/// does not exist. No `run()` is needed.
///
/// While the ensemble is unavailable, each call waits until its own timeout has passed. Without a timeout, it waits
/// until the ensemble is available again or the task is cancelled. The deadline of the retry policy does not apply.
///
/// If the answer to a write is lost, the current contents are read. If they show that the write was not executed, the
/// write is repeated. Otherwise it fails with `.outcomeUnknown`; it never guesses. If another process deletes the znode
/// and creates it again between a read and a write, and the versions are equal, the write does not notice this.
public final class SharedValue: Sendable {
    /// The path of the znode.
    public let path: String
    /// The data that is written if this object creates the znode.
    public let initial: [UInt8]
    let client: ZooKeeperClient

    /// Creates a shared value without sending a request.
    ///
    /// - Parameters:
    ///   - client: A running client.
    ///   - path: The path of the znode. The znode and its parents are created as needed.
    ///   - initial: The data that is written if this object creates the znode. Default: empty.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(client: ZooKeeperClient, path: String, initial: [UInt8] = []) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.initial = initial
        self.client = client
    }

    /// Returns the value after a `sync` with the leader; creates the znode if it does not exist.
    ///
    /// - Parameter timeout: The timeout, which includes the wait for the ensemble. `nil` tries without limit.
    /// - Returns: The value and its stat.
    /// - Throws: ``RecipeError`` with code `.timedOut`; `ZooKeeperError`, such as `.noAuth`; `CancellationError`.
    /// - Complexity: 2 requests in 2 round trips; a few more if the znode must be created.
    public func value(timeout: Duration? = nil) async throws -> VersionedValue {
        try await client.within(timeout, of: .sharedValue, at: path) { try await self.read() }
    }

    private func read() async throws -> VersionedValue {
        while true {
            try await client.sync(path)
            do {
                let (data, stat) = try await client.data(at: path)
                return VersionedValue(data: data, stat: stat)
            } catch let error as ZooKeeperError where error.code == .noNode {
                try await create()
            }
        }
    }

    private func create() async throws {
        do {
            try await client.create(path, data: initial, parents: true)
        } catch let error as ZooKeeperError where error.code == .nodeExists || error.isOutcomeUnknown {
            return
        }
    }

    /// Replaces the value if it is still the one that was read.
    ///
    /// - Parameters:
    ///   - data: The new data.
    ///   - known: The value that was read before.
    ///   - timeout: The timeout, which includes the wait for the ensemble. `nil` tries without limit.
    /// - Returns: The new value; `nil` if another process has written the value, in which case nothing was written.
    /// - Throws: ``RecipeError`` with code `.outcomeUnknown`; `.timedOut`, in which case the value may have been
    ///   written; `.invalidArgument` if the version of `known` is -1, which would match any version; `ZooKeeperError`,
    ///   such as `.noAuth` or `.noNode`; `CancellationError`, in which case the value may have been written.
    /// - Complexity: 1 request.
    public func set(
        _ data: [UInt8], replacing known: VersionedValue, timeout: Duration? = nil
    ) async throws -> VersionedValue? {
        try await client.within(timeout, of: .sharedValue, at: path) { try await self.write(data, replacing: known) }
    }

    private func write(_ data: [UInt8], replacing known: VersionedValue) async throws -> VersionedValue? {
        guard known.stat.dataVersion != -1 else {
            throw RecipeError(
                .invalidArgument, in: .sharedValue, path: path,
                message: "version -1 would match any value; after 4,294,967,295 writes one must be made without it")
        }
        let result = try await client.writeOnce(data, at: path, replacing: known) {
            try await client.setData(data, at: path, version: known.stat.dataVersion)
        }
        switch result {
        case .written(let stat?): return VersionedValue(data: data, stat: stat)
        case .replaced: return nil
        case .written(nil): throw unknownOutcome(nil)
        case .unknown(let present): throw unknownOutcome(present)
        }
    }

    private func unknownOutcome(_ present: VersionedValue?) -> RecipeError {
        RecipeError(
            .outcomeUnknown, in: .sharedValue, path: path, currentValue: present,
            message: "the answer was lost, and the current value does not show whether it was written")
    }

    /// Replaces the value by one that is computed from it, and retries until no other process has written in between.
    ///
    /// - Parameters:
    ///   - timeout: The timeout, which includes the wait for the ensemble. `nil` tries without limit.
    ///   - transform: Returns the new data for the current data. It may be called several times.
    /// - Returns: The new value.
    /// - Throws: ``RecipeError`` with code `.outcomeUnknown`; `.timedOut`, in which case the value may have been
    ///   written; the error of `transform`; `ZooKeeperError`, such as `.noAuth`; `CancellationError`, in which case the
    ///   value may have been written.
    /// - Complexity: 3 requests in 3 round trips for each attempt. The pauses between attempts grow, up to 200 ms.
    @discardableResult
    public func update(
        timeout: Duration? = nil,
        _ transform: @escaping @Sendable ([UInt8]) throws -> [UInt8]
    ) async throws -> VersionedValue {
        try await client.within(timeout, of: .sharedValue, at: path) {
            var backoff = self.client.makeBackoff(.conflict)
            while true {
                let known = try await self.read()
                do {
                    if let new = try await self.write(transform(known.data), replacing: known) { return new }
                } catch let error as ZooKeeperError where error.code == .noNode {
                    // The znode was deleted in between: it is created again.
                }
                try await self.client.clock.sleep(until: self.client.clock.now + backoff.pause())
            }
        }
    }

    /// Observes the value while an operation runs.
    ///
    /// - Parameters:
    ///   - logger: The logger for the reasons why the znode cannot be read. Default: the current logger.
    ///   - operation: Receives a cache of the znode. Each of its entries is live, or stale since a given time.
    /// - Returns: The value that `operation` returned.
    /// - Throws: The error of `operation`.
    /// - Complexity: 1 request for each change, 2 if the znode is created or deleted between reads, and 1 or 2 for each
    ///   connection; see ``NodeCache``.
    public func withChanges<Result: Sendable>(
        logger: Logger = .current, _ operation: (NodeCache) async throws -> Result
    ) async throws -> Result {
        try await withNodeCache(client: client, path: path, logger: logger, operation)
    }
}
