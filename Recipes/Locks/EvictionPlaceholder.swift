internal import ZooKeeper

/// The znode that takes the place of an evicted holder in the queue of a lock.
///
/// Its name has a word of its own before the kind: `_c_<uuid>-evict-lock-0000000007`. Apache Curator sorts by the text
/// after the last `lock-`, and counts leases, so that the placeholder blocks its participants as well.
package enum EvictionPlaceholder {
    private static let mark = "evict-"

    /// Returns the path of a placeholder with the same kind and number as a holder's znode.
    static func path(for holder: String, uuid: String) -> String {
        let (directory, name) = holder.asChild
        return ZNodePath.child(ContenderName.prefix(uuid: uuid) + mark + place(of: name), of: directory)
    }

    /// Returns the kind and the number in a name, which a holder and its placeholder have in common.
    static func place(of name: String) -> String {
        ContenderName(name).map { String(Substring(name.utf8.dropFirst($0.prefix.utf8.count))) }
            ?? SemaphoreRoom.word + String(Substring(name.utf8.suffix(10)))
    }

    /// Returns whether the name of a child is that of a placeholder.
    package static func isPlaceholder(_ name: String) -> Bool {
        let bytes = name.utf8
        // The prefix of all names, with the UUID and a hyphen.
        guard bytes.count > 40, bytes.starts(with: "_c_".utf8) else { return false }
        return bytes.dropFirst(40).starts(with: mark.utf8)
    }
}

extension LockQueueEntry {
    /// The eviction of a holder, in the entry of the placeholder that has replaced the holder's znode.
    ///
    /// The ``LockQueueEntry/participantID`` of the entry is that of the operator.
    public struct Eviction: Sendable, Hashable {
        /// The ID of the evicted holder.
        public var participantID: String
        /// The reason that the operator gave; empty if there is none.
        public var reason: String
        /// The time for which the placeholder blocks the participants behind it, from ``LockQueueEntry/queuedAt`` on.
        public var duration: Duration

        init(participantID: String, reason: String, duration: Duration) {
            (self.participantID, self.reason, self.duration) = (participantID, reason, duration)
        }

        /// Reads the data of a placeholder.
        package init(_ bytes: [UInt8]) {
            let text = KeyValueData(bytes)
            self.init(
                participantID: text["evicts"] ?? "", reason: text["reason"] ?? "",
                duration: Duration(milliseconds: text["wait"]) ?? .zero)
        }

        /// Returns the data of a placeholder.
        func bytes(operatorID: String) -> [UInt8] {
            var text = KeyValueData()
            text["owner"] = operatorID
            text["evicts"] = participantID
            text["wait"] = duration.inMilliseconds
            text["reason"] = reason
            return text.bytes
        }
    }
}
