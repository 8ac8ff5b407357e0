internal import Logging
public import ZooKeeper

extension LeaderSelector {
    /// Who leads an election, for those who do not take part: the present leader first, then each that follows.
    ///
    /// `nil` means that nobody takes part. A leader is who stands in front of the queue: it may need a moment to take office.
    /// A participant that leads again, with a new candidate, is told again. Changes that follow one another quickly show as
    /// one; the last one is never missed, through lost connections and sessions.
    ///
    /// The sequence asks when it is iterated: nothing happens before, and a slow reader skips to the newest. It ends when
    /// the task is cancelled or the client stops, and throws `ZooKeeperError` such as `.noAuth` when the ensemble refuses
    /// to tell.
    /// - Complexity: A listing and a read for each change.
    public static func leaderChanges(at path: String, client: ZooKeeperClient) -> LeaderChanges {
        LeaderChanges(path: path, client: client)
    }

    /// Who leads: the present leader first, then each that follows.
    ///
    /// As ``leaderChanges(at:client:)``.
    public func leaderChanges() -> LeaderChanges { LeaderChanges(path: path, client: election.client) }
}

/// Who leads an election, from change to change.
public struct LeaderChanges: AsyncSequence, Sendable {
    /// A leader, or nobody.
    public typealias Element = ElectionParticipant?

    let path: String
    let client: ZooKeeperClient

    /// Begins with the present leader.
    public func makeAsyncIterator() -> Iterator { Iterator(path: path, client: client) }

    /// Asks, and waits for changes.
    public struct Iterator: AsyncIteratorProtocol {
        private let path: String
        private let client: ZooKeeperClient
        private var watch: Watch?
        /// What was told last.
        private var last: Element?
        private var backoff: Backoff

        init(path: String, client: ZooKeeperClient) {
            self.path = path
            self.client = client
            backoff = client.makeBackoff(.quick)
        }

        /// Waits for the next leader that differs from the last one; `nil` at the end.
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
            /// It has changed meanwhile, or the connection was lost.
            case again
        }

        /// Finds the leader and sets a watch for its end.
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

        /// Sets a watch for the first candidate, or for the directory.
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
