internal import Logging
public import ZooKeeper

extension LeaderSelector {
    /// Returns the leaders of an election, for clients that do not take part: the current leader first, then each next
    /// one.
    ///
    /// An element is `nil` if there are no participants. The leader is the participant at the front of the queue, which
    /// may need a moment to take office. A participant that leads again with a new candidate znode is reported again.
    /// Changes that follow one another quickly may be reported as one. The last change is never missed, even if
    /// connections or sessions are lost.
    ///
    /// The sequence sends requests only while it is iterated, and a slow reader skips to the newest leader. It ends
    /// when the task is cancelled or the client stops. It throws `ZooKeeperError` if the ensemble refuses a read, for
    /// example with code `.noAuth`.
    /// - Parameters:
    ///   - client: The client that reads the queue.
    ///   - path: The directory of the election. It does not have to exist.
    /// - Complexity: For each change, 3 requests in 3 round trips: one listing and two reads of the leader's znode.
    public static func leaderChanges(client: ZooKeeperClient, path: String) -> LeaderChanges {
        LeaderChanges(path: path, client: client)
    }

    /// Returns the leaders of this election: the current leader first, then each next one.
    ///
    /// See ``leaderChanges(client:path:)`` for the guarantees.
    public func leaderChanges() -> LeaderChanges { LeaderChanges(path: path, client: election.client) }
}

/// The leaders of an election, from change to change.
public struct LeaderChanges: AsyncSequence, Sendable {
    /// A leader, or `nil` if there are no participants.
    public typealias Element = ElectionParticipant?

    let path: String
    let client: ZooKeeperClient

    /// Creates an iterator that starts with the current leader.
    public func makeAsyncIterator() -> Iterator { Iterator(path: path, client: client) }

    /// An iterator that reads the leader and waits for changes.
    public struct Iterator: AsyncIteratorProtocol {
        private let path: String
        private let client: ZooKeeperClient
        private var watch: Watch?
        /// The leader that was returned last.
        private var last: Element?
        private var backoff: Backoff

        init(path: String, client: ZooKeeperClient) {
            self.path = path
            self.client = client
            backoff = client.makeBackoff(.quick)
        }

        /// Waits for the next leader that differs from the last one.
        ///
        /// - Returns: The leader, or `nil` at the end of the sequence.
        /// - Throws: `ZooKeeperError`, such as `.noAuth` if the leader's znode cannot be read.
        /// - Complexity: 3 requests in 3 round trips for each change.
        @concurrent public mutating func next() async throws -> Element? {
            do {
                while true {
                    if let watch {
                        self.watch = nil
                        _ = try await watch.event()
                    }
                    guard case .leader(let leader) = try await look() else { continue }
                    backoff.reset()
                    if last == .some(leader) { continue }
                    last = .some(leader)
                    return .some(leader)
                }
            } catch is CancellationError {
                return nil
            } catch let error as ZooKeeperError where error.code == .clientStopped {
                return nil
            }
        }

        private enum Look {
            case leader(ElectionParticipant?)
            /// The leader has changed in the meantime, or the connection was lost.
            case again
        }

        /// Finds the leader and sets a watch on its znode.
        private mutating func look() async throws -> Look {
            do {
                guard let leader = try await Candidate.first(in: path, client: client) else {
                    return try await lookForAnybody()
                }
                let (_, stat, watch) = try await client.watchData(
                    at: ZNodePath.child(leader.name, of: path), share: nil)
                guard stat.czxid == leader.stat.czxid else { return .again }
                self.watch = watch
                return .leader(leader.participant(isLeader: true))
            } catch let error as ZooKeeperError where error.code == .noNode {
                return .again
            } catch let error as ZooKeeperError where error.isTransient {
                try await client.clock.sleep(until: client.clock.now + backoff.pause())
                return .again
            }
        }

        /// Sets a watch for the first candidate znode, or for the directory.
        private mutating func lookForAnybody() async throws -> Look {
            let (stat, created) = try await client.watchExistence(at: path, share: nil)
            guard stat != nil else {
                watch = created
                return .leader(nil)
            }
            let (names, _, children) = try await client.watchChildren(of: path, share: nil)
            if names.contains(where: { ContenderName($0) != nil }) { return .again }
            watch = children
            return .leader(nil)
        }
    }
}
