public import Logging
public import ZooKeeper

/// A number that processes share.
///
/// ```swift
/// let orders = try SharedCount(client: client, path: "/counters/orders", format: .int64)
/// let number = try await orders.add(1)
/// ```
///
/// Each addition is a compare-and-set: no addition is lost, and none is executed twice. If the answer to an addition is
/// lost and the current value does not show whether it was executed, it fails with `.outcomeUnknown`. A result that
/// does not fit the format is an error, and nothing is written.
///
/// The formats are those of Apache Curator, big-endian. Every addition is a write to the disk of each server, and
/// concurrent writers contend: all writers together reach some hundred additions per second. If numbers must only be
/// unique and increasing, sequential znodes or numbers allocated in blocks are cheaper.
public final class SharedCount: Sendable {
    /// The encoding of the number.
    public enum Format: Sendable, Hashable {
        /// 4 bytes, like Curator's `SharedCount` and `DistributedAtomicInteger`.
        case int32
        /// 8 bytes, like Curator's `DistributedAtomicLong`.
        case int64

        func encode(_ number: Int64) -> [UInt8]? {
            switch self {
            case .int32: Int32(exactly: number).map { value in withBytes(UInt64(UInt32(bitPattern: value)), count: 4) }
            case .int64: withBytes(UInt64(bitPattern: number), count: 8)
            }
        }

        /// Decodes a number; empty data is 0, as in Curator.
        func decode(_ data: [UInt8]) -> Int64? {
            if data.isEmpty { return 0 }
            let bits = data.reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
            switch self {
            case .int32: return data.count == 4 ? Int64(Int32(truncatingIfNeeded: bits)) : nil
            case .int64: return data.count == 8 ? Int64(bitPattern: bits) : nil
            }
        }

        private func withBytes(_ bits: UInt64, count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: bits >> UInt64(8 * (count - 1 - $0))) }
        }
    }

    /// The known state of the number.
    public struct Entry: Sendable, Hashable {
        /// The number; `nil` if the znode does not exist, cannot be read, or does not contain a number.
        public var value: Int64?
        /// Whether the number is known to be current, or since when it may be outdated.
        public var freshness: NodeCache.Freshness
        /// Whether the number is known to be current.
        public var isLive: Bool { freshness == .live }
    }

    /// The sequence of changes of the number.
    public struct Changes: AsyncSequence, Sendable {
        /// The known state at one moment.
        public typealias Element = Entry
        /// The sequence never fails.
        public typealias Failure = Never

        let stream: AsyncStream<NodeCache.Entry>
        let format: Format

        /// The iterator of the changes.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var iterator: AsyncStream<NodeCache.Entry>.Iterator
            let format: Format

            /// Returns the known state after the next change.
            ///
            /// - Returns: The next state; `nil` if the sequence has ended.
            /// - Complexity: No request is sent.
            public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> Entry? {
                guard let entry = await iterator.next(isolation: actor) else { return nil }
                return Entry(value: entry.data.flatMap(format.decode), freshness: entry.freshness)
            }
        }

        /// Returns an iterator of the changes.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(iterator: stream.makeAsyncIterator(), format: format)
        }
    }

    /// The path of the znode.
    public var path: String { shared.path }
    /// The encoding of the number.
    public let format: Format
    private let shared: SharedValue

    /// Creates a counter without sending a request.
    ///
    /// - Parameters:
    ///   - client: A running client.
    ///   - path: The path of the znode. The znode and its parents are created as needed.
    ///   - format: The encoding of the number, the same for all processes that use the counter.
    ///   - initial: The number that is written if this counter creates the znode. Default: 0.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`; ``RecipeError`` with code `.invalidArgument` if the initial
    ///   number does not fit the format.
    public init(
        client: ZooKeeperClient, path: String, format: Format, initial: Int64 = 0
    ) throws {
        guard let data = format.encode(initial) else {
            throw RecipeError(
                .invalidArgument, in: .sharedValue, path: path,
                message: "initial is \(initial), which does not fit \(format)")
        }
        self.format = format
        shared = try SharedValue(client: client, path: path, initial: data)
    }

    /// Returns the number after a `sync` with the leader; creates the znode if it does not exist.
    ///
    /// - Parameter timeout: The timeout, which includes the wait for the ensemble. `nil` tries without limit.
    /// - Returns: The number.
    /// - Throws: ``RecipeError`` with code `.unreadable` or `.timedOut`; `ZooKeeperError`; `CancellationError`.
    /// - Complexity: 2 requests in 2 round trips; a few more if the znode must be created.
    public func value(timeout: Duration? = nil) async throws -> Int64 {
        try Self.decode(try await shared.value(timeout: timeout).data, format, path)
    }

    /// Adds to the number.
    ///
    /// - Parameters:
    ///   - delta: The number to add, which may be negative.
    ///   - timeout: The timeout, which includes the wait for the ensemble. `nil` tries without limit.
    /// - Returns: The number after the addition.
    /// - Throws: ``RecipeError`` with code `.overflow` or `.unreadable`, in which case nothing was written; `.timedOut`
    ///   or `.outcomeUnknown`, in which case the number may have been written; `ZooKeeperError`, such as `.noAuth`;
    ///   `CancellationError`, in which case the number may have been written.
    /// - Complexity: 3 requests in 3 round trips for each attempt.
    @discardableResult
    public func add(_ delta: Int64, timeout: Duration? = nil) async throws -> Int64 {
        try await update(timeout: timeout) { [path, format] number in
            let (sum, overflow) = number.addingReportingOverflow(delta)
            guard !overflow else {
                throw RecipeError(
                    .overflow, in: .sharedValue, path: path, message: "\(number) + \(delta) does not fit \(format)")
            }
            return sum
        }
    }

    /// Replaces the number by one that is computed from it.
    ///
    /// - Parameters:
    ///   - timeout: The timeout, which includes the wait for the ensemble. `nil` tries without limit.
    ///   - transform: Returns the new number for the current one. It may be called several times.
    /// - Returns: The new number.
    /// - Throws: The errors of ``add(_:timeout:)``, or the error of `transform`.
    /// - Complexity: 3 requests in 3 round trips for each attempt.
    @discardableResult
    public func update(
        timeout: Duration? = nil, _ transform: @escaping @Sendable (Int64) throws -> Int64
    ) async throws -> Int64 {
        let (format, path) = (format, path)
        let value = try await shared.update(timeout: timeout) { data in
            let new = try transform(Self.decode(data, format, path))
            guard let encoded = format.encode(new) else {
                throw RecipeError(.overflow, in: .sharedValue, path: path, message: "\(new) does not fit \(format)")
            }
            return encoded
        }
        return try Self.decode(value.data, format, path)
    }

    /// Replaces the number if it is equal to the expected number.
    ///
    /// - Parameters:
    ///   - number: The new number.
    ///   - expected: The number to replace.
    ///   - timeout: The timeout, which includes the wait for the ensemble. `nil` tries without limit.
    /// - Returns: Whether the number was the expected one and has been replaced.
    /// - Throws: The errors of ``add(_:timeout:)``.
    /// - Complexity: 3 requests in 3 round trips for each attempt, or 2 in 2 if the number is not the expected one.
    public func set(
        _ number: Int64, replacing expected: Int64, timeout: Duration? = nil
    ) async throws -> Bool {
        guard let data = format.encode(number) else {
            throw RecipeError(.overflow, in: .sharedValue, path: path, message: "\(number) does not fit \(format)")
        }
        let (shared, format, path) = (shared, format, path)
        return try await shared.client.within(timeout, of: .sharedValue, at: path) {
            while true {
                let known = try await shared.value()
                guard try Self.decode(known.data, format, path) == expected else { return false }
                // Another process has written in between, perhaps the same number.
                if try await shared.set(data, replacing: known) != nil { return true }
            }
        }
    }

    /// Observes the number while an operation runs.
    ///
    /// - Parameters:
    ///   - logger: The logger for the reasons why the znode cannot be read. Default: the current logger.
    ///   - operation: Receives the changes: the current number first, then the newest one. Each is live, or stale since
    ///     a given time.
    /// - Returns: The value that `operation` returned.
    /// - Throws: The error of `operation`.
    /// - Complexity: 1 request for each change, 2 if the znode is created or deleted between reads, and 1 or 2 for each
    ///   connection; see ``NodeCache``.
    public func withChanges<Result: Sendable>(
        logger: Logger = .current, _ operation: (Changes) async throws -> Result
    ) async throws -> Result {
        try await shared.withChanges(logger: logger) { cache in
            try await operation(Changes(stream: cache.changes, format: format))
        }
    }

    private static func decode(_ data: [UInt8], _ format: Format, _ path: String) throws -> Int64 {
        guard let number = format.decode(data) else {
            throw RecipeError(
                .unreadable, in: .sharedValue, path: path,
                message: "\(data.count) \(noun("byte", for: data.count)), which is no \(format)")
        }
        return number
    }
}
