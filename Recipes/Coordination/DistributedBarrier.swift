public import ZooKeeper

/// Holds others back for as long as a znode stands.
///
/// Whoever controls the barrier sets and removes it; others wait until it is gone. The znode is persistent: it outlives
/// whoever has set it. It is that of Apache Curator's `DistributedBarrier`.
///
/// ```swift
/// let barrier = try DistributedBarrier(client: client, path: "/service/maintenance")
/// try await barrier.wait()  // in every worker, before it begins
/// ```
///
/// No `run()` is needed. Nothing says who has set a barrier but its data; one that must go with its setter is an
/// ``ExclusiveMode`` window.
public final class DistributedBarrier: Sendable {
    /// The znode.
    public let path: String
    private let client: ZooKeeperClient

    /// Makes a barrier; nothing is sent.
    ///
    /// - Throws: `ZooKeeperError` with code `.invalidPath`.
    public init(client: ZooKeeperClient, path: String) throws(ZooKeeperError) {
        self.path = try ZNodePath(path).string
        self.client = client
    }

    /// Sets the barrier.
    ///
    /// An answer that is lost is asked for again: afterwards the barrier is set, by this call or by somebody.
    ///
    /// - Parameter data: Who and why, for people who look.
    /// - Returns: Whether it was not set before, as far as is known.
    /// - Throws: `ZooKeeperError`, such as `.noAuth`, `.noNode` for a missing chroot, or `.dataTooLarge`; or `CancellationError`.
    /// - Complexity: One request; one more for each missing parent.
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

    /// Removes the barrier; everybody who waits goes on.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth`; or `CancellationError`. A barrier that is not set is no error.
    /// - Complexity: One request.
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

    /// Waits before a request is repeated, and until there is a connection.
    private func pause(_ pause: Duration) async throws {
        try await client.clock.sleep(until: client.clock.now + pause)
        _ = try await client.liveSession()
    }

    /// Whether the barrier was set at some time during the call.
    ///
    /// A quorum confirms the answer, so a server that is cut off cannot give an outdated one. While there is no connection, the
    /// call waits until the task is cancelled.
    ///
    /// - Complexity: Two requests in one round trip; a quorum commits the first one.
    public var isSet: Bool {
        get async throws {
            var backoff = client.makeBackoff(.quick)
            while true {
                switch try await client.liveSession().flight(behindBarrierAt: path, [.exists(path: path)])[0] {
                case .success: return true
                case .failure(let error) where error.code == .noNode: return false
                case .failure(let error) where error.isTransient: try await pause(backoff.pause())
                case .failure(let error): throw error
                }
            }
        }
    }

    /// Waits until the barrier is not set; returns at once when it is not.
    ///
    /// The wait goes on through lost connections and sessions. A barrier that is removed and set again quickly may be
    /// waited for as one.
    ///
    /// - Parameter patience: The longest time to wait, also for a connection; `nil` waits without limit.
    /// - Throws: ``RecipeError`` with code `.timedOut`; `ZooKeeperError`: `.noAuth`, `.clientStopped`; or
    ///   `CancellationError`. No watch is left.
    /// - Complexity: Two requests in one round trip if it is not set; a quorum commits the first one. Otherwise an event, and two
    ///   more.
    public func wait(waitingAtMost patience: Duration? = nil) async throws {
        let (client, path) = (client, path)
        try await client.within(patience, of: .barrier, at: path) {
            var backoff = client.makeBackoff(.quick)
            while true {
                let (results, watch) = try await client.flight(watching: path) { sink in
                    [.barrier(at: path), .data(path: path, watch: sink)]
                }
                switch results[0].asBarrier(before: results[1]) {
                case .success:
                    // What has happened is looked at again: an event is no proof of anything.
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
