public import Logging
public import ZooKeeper

/// A value as it was read, with what is needed to replace no other.
public struct VersionedValue: Sendable, Hashable {
    /// What the znode holds.
    public var data: [UInt8]
    /// The znode's stat: its version, and the transaction that created it.
    public var stat: ZNodeStat

    /// Makes one, for tests.
    public init(data: [UInt8], stat: ZNodeStat) {
        self.data = data
        self.stat = stat
    }
}

/// A value that processes share, replaced by compare-and-set.
///
/// ```swift
/// let limit = try SharedValue(client: client, path: "/service/limit", initial: [10])
/// try await limit.update { $0.map { $0 &+ 1 } }
/// ```
///
/// The znode is persistent, as that of Apache Curator's `SharedValue`; it is created with the initial value when it is
/// missing. No `run()` is needed.
///
/// While the ensemble is away, each call waits until its own limit has passed, and without one until the ensemble is back or
/// the task is cancelled. The retry policy's deadline does not count.
///
/// A write whose answer is lost is looked into: when what is there now shows that it was not executed, it is tried again,
/// else it fails with `.outcomeUnknown`, never with a guess. Should somebody delete the znode and create it again between a
/// reading and a writing, the writing does not notice when the versions are equal.
public final class SharedValue: Sendable {
    /// The znode.
    public let path: String
    /// What it holds when this creates it.
    public let initial: [UInt8]
    let client: ZooKeeperClient

    /// Makes a shared value; nothing is sent.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(client: ZooKeeperClient, path: String, initial: [UInt8] = []) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.initial = initial
        self.client = client
    }

    /// Reads the value, after catching up with the leader; creates it when it is missing.
    ///
    /// - Parameter patience: The longest time to try, also to wait for the ensemble; `nil` tries without limit.
    /// - Throws: ``RecipeError`` with code `.timedOut`; `ZooKeeperError`, such as `.noAuth`; or `CancellationError`.
    /// - Complexity: Two requests.
    public func value(waitingAtMost patience: Duration? = nil) async throws -> VersionedValue {
        try await client.within(patience, of: .sharedValue, at: path) { try await self.read() }
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
    ///   - data: What it is to be.
    ///   - known: What it is, as far as is known.
    ///   - patience: The longest time to try, also to wait for the ensemble; `nil` tries without limit.
    /// - Returns: The new value; `nil` when somebody else has written it, and nothing was.
    /// - Throws: ``RecipeError`` with code `.outcomeUnknown`; `.timedOut`, and it may have been written;
    ///   `.invalidArgument` for a version that cannot be compared: -1, which would match any; `ZooKeeperError`, such as
    ///   `.noAuth` or `.noNode`; or `CancellationError`, and it may have been written.
    /// - Complexity: One request.
    public func set(
        _ data: [UInt8], replacing known: VersionedValue, waitingAtMost patience: Duration? = nil
    ) async throws -> VersionedValue? {
        try await client.within(patience, of: .sharedValue, at: path) { try await self.write(data, replacing: known) }
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
            .outcomeUnknown, in: .sharedValue, path: path, present: present,
            message: "the answer was lost, and what is there now does not tell whether it was written")
    }

    /// Replaces the value by one made of it, again and again until nobody else has written it in between.
    ///
    /// - Parameters:
    ///   - patience: The longest time to try, also to wait for the ensemble; `nil` tries without limit.
    ///   - transform: Makes the new value of the present one; it may be called several times.
    /// - Returns: The new value.
    /// - Throws: ``RecipeError`` with code `.outcomeUnknown`; `.timedOut`, and it may have been written; the error of
    ///   `transform`; `ZooKeeperError`, such as `.noAuth`; or `CancellationError`, and it may have been written.
    /// - Complexity: Three requests a try; pauses grow with the number of tries.
    @discardableResult
    public func update(
        waitingAtMost patience: Duration? = nil,
        _ transform: @escaping @Sendable ([UInt8]) throws -> [UInt8]
    ) async throws -> VersionedValue {
        try await client.within(patience, of: .sharedValue, at: path) {
            var backoff = Backoff(
                initial: .milliseconds(2), cap: .milliseconds(200), seed: self.client.randomness.next())
            while true {
                let known = try await self.read()
                do {
                    if let new = try await self.write(transform(known.data), replacing: known) { return new }
                } catch let error as ZooKeeperError where error.code == .noNode {
                    // Deleted in between: it is created anew.
                }
                try await self.client.clock.sleep(until: self.client.clock.now + backoff.pause())
            }
        }
    }

    /// Follows the value for as long as an operation takes.
    ///
    /// - Parameters:
    ///   - logger: Where it is told why the znode cannot be read.
    ///   - operation: Uses a cache of the znode: each of its entries tells whether it is live, or stale since when.
    /// - Returns: What `operation` returned.
    public func withChanges<Result: Sendable>(
        logger: Logger = .current, _ operation: (NodeCache) async throws -> Result
    ) async throws -> Result {
        try await withNodeCache(path, client: client, logger: logger, operation: operation)
    }
}
