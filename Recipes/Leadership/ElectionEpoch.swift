internal import ZooKeeper

/// The content of the epoch znode, which names the participant that took office last.
///
/// The znode is persistent. It is next to the election's directory and not inside it, because Apache Curator counts
/// every child there. Each term writes it once, in a transaction that checks the candidate znode. The transaction ID of
/// that write is the fencing token of the term.
struct ElectionEpoch: Sendable, Hashable {
    /// The ID of the participant.
    var leader: String
    /// The name of the participant's znode in the queue.
    var candidate: String
    var priority: Int
    /// The ID of the previous leader.
    var previous: String?

    init(leader: String, candidate: String, priority: Int, previous: String?) {
        self.leader = leader
        self.candidate = candidate
        self.priority = priority
        self.previous = previous
    }

    init?(_ data: [UInt8]) {
        let text = KeyValueData(data)
        guard let leader = text["leader"], let candidate = text["candidate"] else { return nil }
        self.init(
            leader: leader, candidate: candidate, priority: text["priority"].flatMap { Int($0) } ?? 0,
            previous: text["previous"])
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        text["leader"] = leader
        text["candidate"] = candidate
        text["priority"] = String(priority)
        text["previous"] = previous
        return text.bytes
    }

    static func path(of election: String) -> String { election + "-epoch" }
}

extension Election {
    /// Writes the epoch znode on behalf of this term.
    ///
    /// - Returns: The fencing token of the term.
    /// - Throws: `ZooKeeperError` with code `.noNode` if the candidate znode no longer exists; `CancellationError`.
    /// - Complexity: 2 requests in 2 round trips, a read and a write. The first term of an election takes 1 more of
    ///   each to create the znode.
    func takeOffice(_ grant: Contender.Grant) async throws -> FencingToken {
        let (session, path) = (grant.held.session, ElectionEpoch.path(of: path))
        while true {
            let previous: ElectionEpoch?
            do {
                previous = ElectionEpoch(try await session.send(.data(path: path)).data.data)
            } catch let error as ZooKeeperError where error.code == .noNode {
                try await createEpoch(at: path, session: session)
                previous = nil
            }
            let epoch = ElectionEpoch(
                leader: id, candidate: grant.name.string, priority: configuration.priority, previous: previous?.leader)
            do {
                let reply = try await session.send(.multi([.check(grant.held.path), .setData(epoch.bytes, at: path)]))
                guard case .multi(let results) = reply, let stat = results.last?.stat else {
                    throw ZooKeeperError(.server, path: path, message: "the server's answer to the write has no stat")
                }
                return FencingToken(rawValue: stat.mzxid.rawValue)
            } catch let error as ZooKeeperError where error.code == .noNode && error.failedOperation == 1 {
                // Another client deleted the znode in between.
                continue
            }
        }
    }

    private func createEpoch(at path: String, session: SessionHandle) async throws {
        do {
            _ = try await session.send(.create(path: path, data: [], mode: .persistent))
        } catch let error as ZooKeeperError where error.code == .nodeExists {
            return
        }
    }
}
