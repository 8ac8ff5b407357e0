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
        var backoff = makeBackoff()
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
        var backoff = makeBackoff()
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

    private func makeBackoff() -> Backoff {
        Backoff(initial: .milliseconds(10), cap: .seconds(1), seed: client.randomness.next())
    }

    /// Waits before a request is repeated, and until there is a connection.
    private func pause(_ pause: Duration) async throws {
        try await client.clock.sleep(until: client.clock.now + pause)
        _ = try await client.liveSession()
    }

    /// Whether the barrier is set, after catching up with the leader.
    public var isSet: Bool {
        get async throws {
            try await client.recipeSteps {
                try await client.sync(path)
                return try await client.exists(at: path) != nil
            }
        }
    }

    /// Waits until the barrier is not set; returns at once when it is not.
    ///
    /// The wait goes on through lost connections and sessions. A barrier that is removed and set again quickly may be
    /// waited for as one.
    ///
    /// - Parameter patience: The longest time to wait, also for a connection; `nil` waits without limit.
    /// - Throws: ``CoordinationError`` with code `.timedOut`; `ZooKeeperError`: `.noAuth`, `.clientStopped`; or
    ///   `CancellationError`. No watch is left.
    /// - Complexity: Two requests in one flight when it is not set; else an event, and two more.
    public func wait(waitingAtMost patience: Duration? = nil) async throws {
        let (client, path) = (client, path)
        try await client.within(patience, at: path) {
            var backoff = Backoff(initial: .milliseconds(20), cap: .seconds(2), seed: client.randomness.next())
            while true {
                let (results, watch) = try await client.flight(watching: path) { sink in
                    [.sync(path: path), .data(path: path, watch: sink)]
                }
                switch results[0].before(results[1]) {
                case .success:
                    // What has happened is looked at again: an event is no proof of anything.
                    try await watch.wait()
                    backoff.reset()
                case .failure(let error) where error.code == .noNode: return
                case .failure(let error):
                    watch.giveUp()
                    guard error.wasInterrupted else { throw error }
                    try await client.clock.sleep(until: client.clock.now + backoff.pause())
                }
            }
        }
    }
}

extension SessionResult {
    /// What follows a `sync`, or the reason why that has failed.
    fileprivate func before(_ next: SessionResult) -> SessionResult {
        if case .failure = self { self } else { next }
    }
}
