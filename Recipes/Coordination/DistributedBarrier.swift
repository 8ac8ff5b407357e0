public import ZooKeeper

/// A barrier that blocks processes on different hosts as long as a znode exists.
///
/// One process controls the barrier: it sets and removes it. Other processes wait until the barrier is removed. The
/// znode is persistent, so it outlives the process that set it. The znode layout is that of Apache Curator's
/// `DistributedBarrier`.
///
/// ```swift
/// let barrier = try DistributedBarrier(client: client, path: "/service/maintenance")
/// try await barrier.wait()  // in every worker, before it starts
/// ```
///
/// No `run()` is needed. Only the data of the znode shows who has set the barrier. For a barrier that is removed when
/// the process that set it ends, use an ``ExclusiveMode`` window.
public final class DistributedBarrier: Sendable {
    /// The path of the znode.
    public let path: String
    private let client: ZooKeeperClient

    /// Creates a barrier without sending a request.
    ///
    /// - Parameters:
    ///   - client: A running client.
    ///   - path: The path of the znode. Its parents are created as needed.
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(client: ZooKeeperClient, path: String) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.client = client
    }

    /// Sets the barrier.
    ///
    /// If the answer to the request is lost, the request is repeated. When the method returns, the barrier is set, by
    /// this call or by another process.
    ///
    /// - Parameter data: The data of the znode, for operators, such as the ID of the process and the reason. Default:
    ///   empty.
    /// - Returns: Whether this call set the barrier; `false` if the znode existed. After a lost answer, `false` may
    ///   also mean that the first request of this call has set it.
    /// - Throws: `ZooKeeperError`, such as `.noAuth`, `.noNode` for a missing chroot, or `.dataTooLarge`;
    ///   `CancellationError`.
    /// - Complexity: 1 request, and 1 for each missing parent.
    @discardableResult
    public func set(data: [UInt8] = []) async throws -> Bool {
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                try await client.recipeSteps { _ = try await client.create(path, data: data, parents: true) }
                return true
            } catch let error as ZooKeeperError where error.code == .nodeExists {
                return false
            } catch let error as ZooKeeperError where error.isOutcomeUnknown {
                try await pause(backoff.pause())
            }
        }
    }

    /// Removes the barrier, so that all waiting processes continue.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; `CancellationError`. Removing a barrier that is not set is not an
    ///   error.
    /// - Complexity: 1 request.
    public func remove() async throws {
        var backoff = client.makeBackoff(.quick)
        while true {
            do {
                return try await client.recipeSteps { try await client.delete(path) }
            } catch let error as ZooKeeperError where error.code == .noNode {
                return
            } catch let error as ZooKeeperError where error.isOutcomeUnknown {
                try await pause(backoff.pause())
            }
        }
    }

    /// Waits for a pause and for a connection, before a request is repeated.
    private func pause(_ pause: Duration) async throws {
        try await client.clock.sleep(until: client.clock.now + pause)
        _ = try await client.connectedSession()
    }

    /// Returns whether the barrier was set at some time during the call.
    ///
    /// A quorum confirms the answer, so a partitioned server cannot give an outdated one. Without a connection, the
    /// call waits until the client is connected or the task is cancelled.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` or `.clientStopped`; `CancellationError`.
    /// - Complexity: 2 requests in 1 round trip; a quorum commits the first one.
    public func isSet() async throws -> Bool {
        var backoff = client.makeBackoff(.quick)
        while true {
            switch try await client.connectedSession().sendAll(behindBarrierAt: path, [.exists(path: path)])[0] {
            case .success: return true
            case .failure(let error) where error.code == .noNode: return false
            case .failure(let error) where error.isTransient: try await pause(backoff.pause())
            case .failure(let error): throw error
            }
        }
    }

    /// Waits until the barrier is not set; returns immediately if it is not.
    ///
    /// The wait continues across lost connections and sessions. If the barrier is removed and set again quickly, the
    /// wait may continue without noticing it.
    ///
    /// - Parameter timeout: The timeout, which includes the wait for a connection. `nil` waits without limit.
    /// - Throws: ``RecipeError`` with code `.timedOut`; `ZooKeeperError` with code `.noAuth` or `.clientStopped`;
    ///   `CancellationError`. No watch remains set.
    /// - Complexity: 2 requests in 1 round trip if the barrier is not set; a quorum commits the first one. Otherwise 2
    ///   more requests in 1 round trip after each event of the znode.
    public func wait(timeout: Duration? = nil) async throws {
        let (client, path) = (client, path)
        try await client.within(timeout, of: .barrier, at: path) {
            var backoff = client.makeBackoff(.quick)
            while true {
                let (results, watch) = try await client.sendAll(watching: path) { sink in
                    [.barrier(at: path), .data(path: path, watch: sink)]
                }
                switch results[0].asBarrier(before: results[1]) {
                case .success:
                    // The znode is read again, because an event does not prove that the barrier is removed.
                    try await watch.wait()
                    backoff.reset()
                case .failure(let error) where error.code == .noNode: return
                case .failure(let error):
                    watch.giveUp()
                    guard error.isTransient else { throw error }
                    try await client.clock.sleep(until: client.clock.now + backoff.pause())
                }
            }
        }
    }
}
