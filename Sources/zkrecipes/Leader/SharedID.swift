import CommandLineSupport
import Logging
import ZooKeeper
import ZooKeeperRecipes

extension LeaderSelector {
    /// Logs a warning if another participant has the ID of this one, once this one is in the queue.
    func warnAboutSharedID(_ id: String, _ client: ZooKeeperClient) async {
        for await state in states {
            switch state {
            case .leading, .waiting(position: .some): break
            default: continue
            }
            let participants = (try? await LeaderSelector.participants(client: client, path: path)) ?? []
            guard participants.count(where: { $0.id.hasBytes(of: id) }) > 1 else { return }
            Logger.program.warning(
                """
                Another participant has the same ID, so that operators cannot tell them apart: use a different one. A \
                participant that has been restarted leaves when its former session ends
                """,
                metadata: ["zookeeper.path": "\(Text.escaped(path))", "zookeeper.id": "\(Text.escaped(id))"])
            return
        }
    }
}

extension [ElectionParticipant] {
    /// Returns the participants with an ID, or with a name of their znode.
    func named(_ name: String) -> [ElectionParticipant] {
        filter { $0.id.hasBytes(of: name) || $0.znode.hasBytes(of: name) }
    }

    /// Returns the ID of a participant, and its znode if another one has the same ID.
    func title(of participant: ElectionParticipant) -> String {
        let isShared = count { $0.id.hasBytes(of: participant.id) } > 1
        return isShared ? "\(participant.id) (\(participant.znode))" : participant.id
    }
}
