public import Metrics
public import ZooKeeper

/// A znode whose value is written with fencing tokens, and which refuses stale ones.
///
/// The znode holds the line `token=` with the ``FencingRegisters``, followed by the bytes of the value. Each write is a
/// compare-and-set on the version of the znode. If two writers exclude each other, the lower token therefore never
/// writes last.
///
/// While the ensemble is unavailable, each call waits until it is available again or the task is cancelled.
public final class FencedNode: FencedWriter {
    /// The contents of the znode.
    public struct Content: Sendable, Hashable {
        /// The value.
        public var value: [UInt8]
        /// The highest tokens that have written the znode.
        public var registers: FencingRegisters
        /// The data version of the znode.
        public var version: Int32
    }

    /// The path of the znode.
    public let path: String

    private let client: ZooKeeperClient
    private let counters: FencedWriteCounters

    /// Creates a writer without sending a request.
    ///
    /// - Parameters:
    ///   - client: A running client.
    ///   - path: The path of the znode. The znode and its parents are created as needed.
    ///   - metricsFactory: The factory for the counters of writes; `nil` uses the factory that swift-metrics was
    ///     bootstrapped with. Default: `nil`.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(
        client: ZooKeeperClient, path: String, metricsFactory: (any MetricsFactory)? = nil
    ) throws(ZooKeeperError) {
        _ = try ZNodePath(path)
        self.client = client
        self.path = path
        counters = FencedWriteCounters(target: path, factory: metricsFactory)
    }

    /// The number of accepted and rejected writes.
    public var counts: FencedWriteCounts { counters.current }

    /// Returns the value of the znode.
    ///
    /// - Returns: The contents; `nil` if the znode does not exist or is empty.
    /// - Throws: ``FencingError`` with code `.unreadable`; `ZooKeeperError`; `CancellationError`.
    /// - Complexity: 1 request.
    public func read() async throws -> Content? {
        try await client.recipeSteps { try await look()?.content }
    }

    /// Replaces the value.
    ///
    /// If the answer to a write is lost, the writer determines whether the write was executed, and repeats it if it was
    /// not. If concurrent writes have the same token, any of them may be the last one.
    ///
    /// - Parameters:
    ///   - value: The new value.
    ///   - token: The fencing token of the grant under which the value is written.
    /// - Throws: ``FencingError`` with code `.staleToken` or `.unreadable`, in which case nothing was written;
    ///   `.outcomeUnknown` if the answer was lost and other writers have written since, in which case the value may
    ///   have been written; `ZooKeeperError`; `CancellationError`, in which case the value may have been written.
    /// - Complexity: 2 requests in 2 round trips. Each concurrent write by another writer adds 2 requests. Missing
    ///   parents are created with further requests.
    public func write(_ value: [UInt8], token: FencingToken) async throws {
        try await update(token: token) { _ in value }
    }

    /// Replaces the value by one that is computed from it.
    ///
    /// If another writer writes in between, the value is computed again. Each computed value is written at most once,
    /// even if answers are lost.
    ///
    /// - Parameters:
    ///   - token: The fencing token of the grant under which the value is written.
    ///   - transform: Returns the new value for the current one, which is `nil` if there is none. It may be called
    ///     several times.
    /// - Throws: The errors of ``write(_:token:)``; the error of `transform`.
    /// - Complexity: The same as ``write(_:token:)``.
    public func update(token: FencingToken, _ transform: ([UInt8]?) throws -> [UInt8]) async throws {
        try await update(token: token, transform) { operations in
            try await client.recipeSteps { try await client.transaction(operations) }
        }
    }

    /// Replaces the value with the token of a grant, in a transaction that the ensemble refuses if the grant is lost.
    ///
    /// The ensemble refuses the write even if no other writer has written since the loss.
    ///
    /// - Parameters:
    ///   - value: The new value.
    ///   - grant: The grant under which the value is written.
    /// - Throws: The errors of ``write(_:token:)`` and ``Grant/transaction(_:)``.
    /// - Complexity: The same as ``write(_:token:)``.
    public func write(_ value: [UInt8], under grant: some Grant) async throws {
        try await update(token: grant.fencingToken, { _ in value }, { try await grant.transaction($0) })
    }

    private func update(
        token: FencingToken, _ transform: ([UInt8]?) throws -> [UInt8],
        _ commit: ([TransactionOperation]) async throws -> [TransactionResult]
    ) async throws {
        while true {
            let found = try await client.recipeSteps { try await look() }
            var registers = found?.content?.registers ?? FencingRegisters()
            if let highest = registers.refusal(of: token) {
                counters.reject()
                throw FencingError(.staleToken, target: path, token: token, highest: highest)
            }
            _ = registers.accept(token)
            let data = FencedText(registers: registers, value: try transform(found?.content?.value)).bytes
            let operation: TransactionOperation =
                if let known = found?.znode {
                    .setData(data, at: path, version: known.stat.dataVersion)
                } else {
                    .create(path, data: data)
                }
            do {
                let result = try await client.writeOnce(
                    data, at: path, replacing: found?.znode, countsEqualAsWritten: true
                ) {
                    _ = try await commit([operation])
                    return nil
                }
                switch result {
                case .written: return counters.accept()
                case .replaced: continue
                case .unknown(let present):
                    throw FencingError(
                        .outcomeUnknown, target: path, token: token,
                        highest: present.flatMap { FencedText($0.data) }?.registers.highest,
                        message: "the answer was lost, and the current value does not show whether it was written")
                }
            } catch let error as ZooKeeperError where error.code == .noNode && found == nil {
                try await client.recipeSteps { try await client.createParents(of: path) }
            } catch let error as ZooKeeperError where error.code == .noNode {
                // The znode was deleted in between: it is created again.
            }
        }
    }

    private struct Found {
        var znode: VersionedValue
        var content: Content?
    }

    private func look() async throws -> Found? {
        do {
            let (data, stat) = try await client.data(at: path)
            let znode = VersionedValue(data: data, stat: stat)
            guard !data.isEmpty else { return Found(znode: znode) }
            guard let text = FencedText(data) else { throw FencingError(.unreadable, target: path) }
            return Found(
                znode: znode, content: Content(value: text.value, registers: text.registers, version: stat.dataVersion))
        } catch let error as ZooKeeperError where error.code == .noNode {
            return nil
        }
    }
}

/// A value preceded by the registers.
struct FencedText: Sendable, Hashable {
    var registers: FencingRegisters
    var value: [UInt8]

    private static let key = Array("token=".utf8)

    init(registers: FencingRegisters, value: [UInt8]) {
        (self.registers, self.value) = (registers, value)
    }

    /// Parses the data of a znode.
    ///
    /// - Returns: `nil` if the data does not start with registers.
    init?(_ bytes: [UInt8]) {
        guard bytes.starts(with: Self.key), let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let line = String(decoding: bytes[Self.key.count..<end], as: UTF8.self)
        guard let registers = FencingRegisters(line) else { return nil }
        self.init(registers: registers, value: Array(bytes[(end + 1)...]))
    }

    var bytes: [UInt8] { Self.key + Array("\(registers)\n".utf8) + value }
}
