public import Metrics
public import ZooKeeper

/// A znode whose value is written with fencing tokens: a stale one is refused.
///
/// The znode holds a line `token=` with the ``FencingRegisters``, and after it the value's bytes as they are. Each write is a
/// compare-and-set by the znode's version, so that of two writers that exclude each other the lower token never comes last.
///
/// While the ensemble is away, each call waits until it is back or the task is cancelled.
public final class FencedNode: FencedWriter {
    /// What the znode holds.
    public struct Content: Sendable, Hashable {
        /// The value.
        public var value: [UInt8]
        /// The highest tokens that have written.
        public var registers: FencingRegisters
        /// The znode's data version.
        public var version: Int32
    }

    /// The znode.
    public let path: String

    private let client: ZooKeeperClient
    private let counters: FencedWriteCounters

    /// Makes a writer; nothing is sent.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(
        client: ZooKeeperClient, path: String, metricsFactory: (any MetricsFactory)? = nil
    ) throws(ZooKeeperError) {
        _ = try ZNodePath(path)
        self.client = client
        self.path = path
        counters = FencedWriteCounters(target: path, factory: metricsFactory)
    }

    /// How many writes were taken, and how many refused.
    public var counts: FencedWriteCounts { counters.current }

    /// Reads the value.
    ///
    /// - Returns: `nil` when there is no such znode, or an empty one.
    /// - Throws: ``FencingError`` with code `.unreadable`; `ZooKeeperError`; `CancellationError`.
    /// - Complexity: One request.
    public func read() async throws -> Content? {
        try await client.recipeSteps { try await look()?.content }
    }

    /// Writes a value.
    ///
    /// If the answer to a write is lost, the writer finds out whether the write was executed, and repeats it if it was not. Of
    /// concurrent writes with one token, any may come last.
    ///
    /// - Throws: ``FencingError`` with code `.staleToken` or `.unreadable`, and nothing was written; `.outcomeUnknown` if the
    ///   answer was lost and others have written since, so that it may have been written; `ZooKeeperError`;
    ///   `CancellationError`, and it may have been written.
    /// - Complexity: Two requests; two more when somebody writes at the same time; the creation of parents.
    public func write(_ value: [UInt8], token: FencingToken) async throws {
        try await update(token: token) { _ in value }
    }

    /// Replaces the value by one that is computed from it.
    ///
    /// The value is computed again if somebody else writes in between. A value that was computed is written at most once,
    /// also if answers are lost.
    ///
    /// - Parameters:
    ///   - token: That of the grant by which this is written.
    ///   - transform: Gets the present value, `nil` for none; may be called several times.
    /// - Throws: As ``write(_:token:)``; the error of `transform`.
    public func update(token: FencingToken, _ transform: ([UInt8]?) throws -> [UInt8]) async throws {
        try await update(token: token, transform) { operations in
            try await client.recipeSteps { try await client.transaction(operations) }
        }
    }

    /// Writes a value under a grant: the token is the grant's, and the ensemble refuses the write when the grant is lost,
    /// even if nobody has written since.
    ///
    /// - Throws: As ``write(_:token:)`` and ``Grant/guarded(_:)``.
    public func write(_ value: [UInt8], under grant: some Grant) async throws {
        try await update(token: grant.fencingToken, { _ in value }, { try await grant.guarded($0) })
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
                        message: "the answer was lost, and what is there now does not tell whether it was written")
                }
            } catch let error as ZooKeeperError where error.code == .noNode && found == nil {
                try await client.recipeSteps { try await client.createParents(of: path) }
            } catch let error as ZooKeeperError where error.code == .noNode {
                // Deleted in between: it is created anew.
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

/// A value with the registers in front.
struct FencedText: Sendable, Hashable {
    var registers: FencingRegisters
    var value: [UInt8]

    private static let key = Array("token=".utf8)

    init(registers: FencingRegisters, value: [UInt8]) {
        (self.registers, self.value) = (registers, value)
    }

    /// - Returns: `nil` when the bytes do not begin with registers.
    init?(_ bytes: [UInt8]) {
        guard bytes.starts(with: Self.key), let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let line = String(decoding: bytes[Self.key.count..<end], as: UTF8.self)
        guard let registers = FencingRegisters(line) else { return nil }
        self.init(registers: registers, value: Array(bytes[(end + 1)...]))
    }

    var bytes: [UInt8] { Self.key + Array("\(registers)\n".utf8) + value }
}
