internal import ZooKeeper

/// What the epoch znode says: who took office last.
///
/// It is persistent and stands beside the election's path, never inside: Apache Curator counts every child there. Each
/// term writes it once, in a transaction that checks the own candidate; that write's number is the term's token.
struct ElectionEpoch: Sendable, Hashable {
    /// The participant's id.
    var leader: String
    /// The name of its znode in the queue.
    var candidate: String
    var priority: Int
    /// Who led before.
    var previous: String?

    init(leader: String, candidate: String, priority: Int, previous: String?) {
        self.leader = leader
        self.candidate = candidate
        self.priority = priority
        self.previous = previous
    }

    init?(_ data: [UInt8]) {
        let text = NodeText(data)
        guard let leader = text["leader"], let candidate = text["candidate"] else { return nil }
        self.init(
            leader: leader, candidate: candidate, priority: text["priority"].flatMap { Int($0) } ?? 0,
            previous: text["previous"])
    }

    var bytes: [UInt8] {
        var text = NodeText()
        text["leader"] = leader
        text["candidate"] = candidate
        text["priority"] = String(priority)
        text["previous"] = previous
        return text.bytes
    }

    static func path(of election: String) -> String { election + "-epoch" }
}

extension Election {
    /// Writes the epoch znode, in this term's name.
    ///
    /// - Returns: The term's token.
    /// - Throws: `ZooKeeperError` with code `.noNode` when the candidate is gone; `CancellationError`.
    /// - Complexity: A read and a write, one after the other; two writes when there was no term so far.
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
                    throw ZooKeeperError(.server, path: path, message: "the server did not say when it wrote")
                }
                return FencingToken(rawValue: stat.mzxid.rawValue)
            } catch let error as ZooKeeperError where error.code == .noNode && error.failedOperation == 1 {
                // Somebody deleted it in between.
                continue
            }
        }
    }

    private func createEpoch(at path: String, session: LiveSession) async throws {
        do {
            _ = try await session.send(.create(path: path, data: [], mode: .persistent))
        } catch let error as ZooKeeperError where error.code == .nodeExists {
            return
        }
    }
}
