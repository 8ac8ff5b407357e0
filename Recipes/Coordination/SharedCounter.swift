public import Logging
public import ZooKeeper

/// A number that processes share.
///
/// ```swift
/// let orders = try SharedCounter(client: client, path: "/counters/orders", format: .int64)
/// let number = try await orders.add(1)
/// ```
///
/// Each addition is a compare-and-set: none is lost, and none is made twice. When the answer to one is lost, and what is
/// there now does not tell, it fails with `.outcomeUnknown`. A number that would not fit is an error, and nothing is written.
///
/// The formats are those of Apache Curator, big-endian. Every addition is a write to each server's disk, and those of many
/// writers contend: some hundred a second in all. Numbers that need only be unique and grow are cheaper as sequential
/// znodes, or handed out in blocks.
public final class SharedCounter: Sendable {
    /// How the number is written.
    public enum Format: Sendable, Hashable {
        /// Four bytes, as Curator's `SharedCount` and `DistributedAtomicInteger`.
        case int32
        /// Eight bytes, as Curator's `DistributedAtomicLong`.
        case int64

        func encode(_ number: Int64) -> [UInt8]? {
            switch self {
            case .int32: Int32(exactly: number).map { value in withBytes(UInt64(UInt32(bitPattern: value)), count: 4) }
            case .int64: withBytes(UInt64(bitPattern: number), count: 8)
            }
        }

        /// Curator takes an empty value for zero.
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

    /// What is known of the number.
    public struct Entry: Sendable, Hashable {
        /// The number; `nil` when the znode does not stand, cannot be read, or holds none.
        public var number: Int64?
        /// Whether it is known to be the newest, or since when it is not.
        public var freshness: NodeCache.Freshness
        /// Whether it is known to be the newest.
        public var isLive: Bool { freshness == .live }
    }

    /// The numbers as they change.
    public struct Changes: AsyncSequence, Sendable {
        /// What is known at one moment.
        public typealias Element = Entry
        /// It never fails.
        public typealias Failure = Never

        let stream: AsyncStream<NodeCache.Entry>
        let format: Format

        /// Reads the changes.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var iterator: AsyncStream<NodeCache.Entry>.Iterator
            let format: Format

            /// What is known after the next change.
            public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async -> Entry? {
                guard let entry = await iterator.next(isolation: actor) else { return nil }
                return Entry(number: entry.data.flatMap(format.decode), freshness: entry.freshness)
            }
        }

        /// Begins to read.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(iterator: stream.makeAsyncIterator(), format: format)
        }
    }

    /// The znode.
    public var path: String { shared.path }
    /// How the number is written.
    public let format: Format
    private let shared: SharedValue

    /// Makes a counter; nothing is sent.
    ///
    /// - Parameters:
    ///   - client: A client that runs.
    ///   - path: The znode; it and its parents are created as needed.
    ///   - format: How the number is written; the same for all who use the counter.
    ///   - initial: The number when this creates the znode.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`, or `.invalidArgument` when the initial number does not fit.
    public init(
        client: ZooKeeperClient, path: String, format: Format, initial: Int64 = 0
    ) throws(ZooKeeperError) {
        guard let data = format.encode(initial) else {
            throw ZooKeeperError(.invalidArgument, path: path, message: "\(initial) does not fit \(format)")
        }
        self.format = format
        shared = try SharedValue(client: client, path: path, initial: data)
    }

    /// Reads the number, after catching up with the leader; creates it when it is missing.
    ///
    /// - Parameter patience: The longest time to try, also to wait for the ensemble; `nil` tries without limit.
    /// - Throws: ``RecipeError`` with code `.unreadable` or `.timedOut`; `ZooKeeperError`; or `CancellationError`.
    public func number(waitingAtMost patience: Duration? = nil) async throws -> Int64 {
        try Self.decode(try await shared.value(waitingAtMost: patience).data, format, path)
    }

    /// Adds to the number.
    ///
    /// - Parameters:
    ///   - delta: What to add; it may be negative.
    ///   - patience: The longest time to try, also to wait for the ensemble; `nil` tries without limit.
    /// - Returns: The number afterwards.
    /// - Throws: ``RecipeError`` with code `.overflow` or `.unreadable`, and nothing was written; `.timedOut` or
    ///   `.outcomeUnknown`, and it may have been written; `ZooKeeperError`, such as `.noAuth`; or `CancellationError`, and
    ///   it may have been written.
    /// - Complexity: Three requests a try.
    @discardableResult
    public func add(_ delta: Int64, waitingAtMost patience: Duration? = nil) async throws -> Int64 {
        try await update(waitingAtMost: patience) { [path, format] number in
            let (sum, overflow) = number.addingReportingOverflow(delta)
            guard !overflow else {
                throw RecipeError(
                    .overflow, in: .sharedValue, path: path, message: "\(number) + \(delta) does not fit \(format)")
            }
            return sum
        }
    }

    /// Replaces the number by one made of it.
    ///
    /// - Parameters:
    ///   - patience: The longest time to try, also to wait for the ensemble; `nil` tries without limit.
    ///   - transform: Makes the new number of the present one; it may be called several times.
    /// - Returns: The number afterwards.
    /// - Throws: As ``add(_:waitingAtMost:)``, or the error of `transform`.
    @discardableResult
    public func update(
        waitingAtMost patience: Duration? = nil, _ transform: @escaping @Sendable (Int64) throws -> Int64
    ) async throws -> Int64 {
        let (format, path) = (format, path)
        let value = try await shared.update(waitingAtMost: patience) { data in
            let new = try transform(Self.decode(data, format, path))
            guard let encoded = format.encode(new) else {
                throw RecipeError(.overflow, in: .sharedValue, path: path, message: "\(new) does not fit \(format)")
            }
            return encoded
        }
        return try Self.decode(value.data, format, path)
    }

    /// Replaces the number if it is the one that is expected.
    ///
    /// - Parameters:
    ///   - number: The new number.
    ///   - expected: The number that is to be replaced.
    ///   - patience: The longest time to try, also to wait for the ensemble; `nil` tries without limit.
    /// - Returns: Whether it was, and is the new one now.
    /// - Throws: As ``add(_:waitingAtMost:)``.
    /// - Complexity: Three requests, or two when it is another.
    public func set(
        _ number: Int64, replacing expected: Int64, waitingAtMost patience: Duration? = nil
    ) async throws -> Bool {
        guard let data = format.encode(number) else {
            throw RecipeError(.overflow, in: .sharedValue, path: path, message: "\(number) does not fit \(format)")
        }
        let (shared, format, path) = (shared, format, path)
        return try await shared.client.within(patience, of: .sharedValue, at: path) {
            while true {
                let known = try await shared.value()
                guard try Self.decode(known.data, format, path) == expected else { return false }
                // Written by somebody else in between: perhaps with the same number.
                if try await shared.set(data, replacing: known) != nil { return true }
            }
        }
    }

    /// Follows the number for as long as an operation takes.
    ///
    /// - Parameters:
    ///   - logger: Where it is told why the znode cannot be read.
    ///   - operation: Reads the changes: the present number first, then the newest; each is live, or stale since some
    ///     instant.
    /// - Returns: What `operation` returned.
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
                .unreadable, in: .sharedValue, path: path, message: "\(data.count) bytes, which is no \(format)")
        }
        return number
    }
}
