import CommandLineSupport
import ZooKeeper
import ZooKeeperScheduling

/// A participant of a recipe: a holder, a waiting participant or a member.
struct RecipeParticipant: Sendable {
    enum State: String, Sendable, Encodable {
        case holds, leads, waits, member, inside
        /// The placeholder of a holder that an operator evicts.
        case evicting
    }

    var state: State
    /// The position in the queue, from 0; the number of the member in a group.
    var position: Int
    /// The kind of access, such as `read` or `lease`; `nil` if the recipe has only one.
    var access: String?
    /// The name of the znode.
    var znode: String
    var facts: ZNodeFacts
    /// The participant's ID; `nil` if the data could not be read.
    var id: String?
    /// The fencing token, if the participant holds something with the token of its znode or of its term.
    var token: Int64?
    /// What the participant waits for, in words; `nil` if it does not wait.
    var waitsFor: String?
}

/// The stat and the beginning of the data of a znode.
struct ZNodeFacts: Sendable {
    enum Content: Sendable, Equatable {
        case text(String)
        /// The data are not UTF-8.
        case binary
        /// The data are longer than a participant's data should be, and were not read.
        case tooLong
        /// The client has no permission to read the data.
        case refused
        /// The znode was deleted after its parent was listed.
        case missing
    }

    var stat: ZNodeStat?
    var content: Content

    /// Decodes data that were read.
    init(stat: ZNodeStat?, data: [UInt8]) {
        self.stat = stat
        content = String(validating: data, as: UTF8.self).map { .text($0) } ?? .binary
    }

    init(stat: ZNodeStat?, _ content: Content) { (self.stat, self.content) = (stat, content) }

    /// The longest data that are read for display, in bytes.
    static let longestData = 16_384

    /// The data, in words.
    var description: String {
        let count = stat?.dataLength ?? 0
        let length = "\(Text.grouped(count)) \(noun("byte", for: count))"
        return switch content {
        case .text(let text): Self.shortened(text, to: 60)
        case .binary: "\(length), not UTF-8"
        case .tooLong: length
        case .refused: "no permission to read"
        case .missing: "deleted meanwhile"
        }
    }

    /// Returns the first characters of a text, and its length if it is longer.
    static func shortened(_ text: String, to length: Int) -> String {
        let scalars = text.unicodeScalars
        guard scalars.count > length else { return text }
        return String(String.UnicodeScalarView(scalars.prefix(length))) + "... (\(text.utf8.count) bytes)"
    }
}

/// The status of one recipe, as text and as JSON.
struct RecipeStatus: Sendable {
    var path: String
    var kind: RecipeKind
    /// The library families of the names, such as `curator`; empty if the names do not tell.
    var layouts: [QueueName.Layout] = []
    /// The participants that were read, in order.
    var participants: [RecipeParticipant] = []
    /// The number of all participants.
    var total = 0
    /// The number of all participants that hold something or lead, or of members.
    var holders = 0
    /// The number of all participants that wait.
    var waiting = 0
    /// A holder that has no participant in the list, such as the operator of a window.
    var namedHolder: String?
    /// The time since which the recipe is held, if it differs from that of the first holder.
    var heldSince: Timestamp?
    /// Further values, such as the limit of a semaphore, in order.
    var details: [(key: String, value: String)] = []
    /// The lines of the recipe's own report, such as the windows of an exclusive mode.
    var report: [String] = []
    /// Remarks for operators.
    var notes: [String] = []

    private static let holding: Set<RecipeParticipant.State> = [.holds, .leads, .inside, .member]

    /// The first holder that was read.
    private var first: RecipeParticipant? { participants.first { Self.holding.contains($0.state) } }

    /// The holder for display: its ID, and the number of the others.
    var holder: String? {
        switch kind {
        case .group, .doubleBarrier, .partitionGroup:
            return total == 0 ? nil : "\(Text.grouped(total)) \(noun("member", for: total))"
        default: break
        }
        guard let name = holderName else { return eviction.map { "(eviction by \(Self.name($0)))" } }
        return holders > 1 ? "\(name) and \(Text.grouped(holders - 1)) more" : name
    }

    /// The first placeholder of an eviction that was read.
    private var eviction: RecipeParticipant? { participants.first { $0.state == .evicting } }

    /// The name of the first holder; `nil` for recipes that have members only.
    var holderName: String? {
        switch kind {
        case .group, .doubleBarrier, .partitionGroup, .znode: nil
        // Only a window holds it: processors hold their own locks while there is none.
        case .exclusiveMode: namedHolder
        default: namedHolder ?? first.map(Self.name)
        }
    }

    /// The time since which the first holder has its znode.
    var since: Timestamp? { kind == .exclusiveMode ? heldSince : heldSince ?? (first ?? eviction)?.facts.stat?.ctime }

    private static func name(_ participant: RecipeParticipant) -> String {
        guard let id = participant.id, !id.isEmpty else { return participant.znode }
        return ZNodeFacts.shortened(id, to: 60)
    }

    // MARK: Text

    var lines: [String] {
        var lines = [summary]
        lines += details.map { "  \($0.key): \(ZNodeFacts.shortened($0.value, to: 200))" }
        if !report.isEmpty { lines += [""] + report }
        if !participants.isEmpty { lines += [""] + table }
        if total > participants.count {
            lines.append(
                "\(Text.grouped(participants.count)) of \(Text.grouped(total)) participants are shown; --limit shows more."
            )
        }
        if !notes.isEmpty { lines += [""] + notes.map { "Note: \($0)" } }
        return lines
    }

    private var summary: String {
        var text = "\(path): \(kind.title)"
        if layouts == [.kazoo] { text += " of kazoo" }
        switch kind {
        case .znode: return text
        case .group, .doubleBarrier, .partitionGroup: return text + ", \(holder ?? "no members")"
        case .leaderElection, .leaderLatch, .scheduledTask:
            text += holder.map { ", led by \($0)" } ?? ", no participants"
        case .exclusiveMode: text += holder.map { ", held by \($0)" } ?? ", no window"
        case .mutex, .readWriteLock, .semaphore:
            if holderName == nil, let eviction {
                text += ", blocked by an eviction by \(Self.name(eviction))"
            } else {
                text += holder.map { ", held by \($0)" } ?? ", free"
            }
        }
        if let since, holder != nil { text += " since \(since.secondsText)" }
        return text + (waiting == 0 ? "" : "; \(Text.grouped(waiting)) \(noun("waits", plural: "wait", for: waiting))")
    }

    private var table: [String] {
        let rows = participants.map { participant in
            let id = participant.id ?? ""
            let data = participant.facts.description
            return [
                String(participant.position), participant.state.rawValue, participant.access ?? "",
                ZNodeFacts.shortened(id, to: 60), participant.facts.stat.map { $0.ctime.secondsText } ?? "",
                participant.token.map(String.init) ?? "", participant.facts.stat?.ephemeralOwner?.description ?? "",
                participant.waitsFor ?? "", data == ZNodeFacts.shortened(id, to: 60) ? "" : data,
                ZNodeFacts.shortened(participant.znode, to: 120),
            ]
        }
        let heading = ["#", "STATE", "ACCESS", "ID", "SINCE", "TOKEN", "SESSION", "WAITS FOR", "DATA", "ZNODE"]
        // Columns without content are left out.
        let columns = heading.indices.filter { column in rows.contains { !$0[column].isEmpty } }
        let shown = ([heading] + rows).map { row in columns.map { row[$0] } }
        let numeric = ["#", "TOKEN"].compactMap { name in shown[0].firstIndex(of: name) }
        return Text.table(shown, rightAligned: Set(numeric))
    }

    // MARK: JSON

    /// One JSON object in one line, with times in milliseconds since 1970.
    var json: String { Text.json(form) }

    /// The values of the JSON object.
    var form: JSONForm { JSONForm(self) }

    /// The object of `--json` for one recipe; the article about production documents the keys.
    struct JSONForm: Encodable, Sendable {
        struct Participant: Encodable, Sendable {
            var znode: String
            var state: RecipeParticipant.State
            var position: Int
            var access, id, session, waitsFor, data: String?
            var since, token, czxid: Int64?
            var dataLength: Int?
            /// Why `data` is missing: `binary`, `too-long`, `refused` or `missing`.
            var problem: String?
        }

        var path: String
        var kind: RecipeKind
        var layouts: [QueueName.Layout]
        var holder: String?
        var since: Int64?
        var holders, waiting, participantCount: Int
        var participants: [Participant]
        var details: [String: String]
        var notes: [String]

        init(_ status: RecipeStatus) {
            path = status.path
            kind = status.kind
            layouts = status.layouts
            holder = status.holderName
            since = status.since?.millisecondsSince1970
            (holders, waiting, participantCount) = (status.holders, status.waiting, status.total)
            participants = status.participants.map(Self.participant)
            details = Dictionary(status.details.map { ($0.key, $0.value) }) { first, _ in first }
            notes = status.notes
        }

        private static func participant(_ participant: RecipeParticipant) -> Participant {
            let facts = participant.facts
            var form = Participant(
                znode: participant.znode, state: participant.state, position: participant.position,
                access: participant.access, id: participant.id.map { ZNodeFacts.shortened($0, to: 1024) },
                session: facts.stat?.ephemeralOwner?.description, waitsFor: participant.waitsFor,
                since: facts.stat?.ctime.millisecondsSince1970, token: participant.token,
                czxid: facts.stat?.czxid.rawValue, dataLength: facts.stat?.dataLength)
            switch facts.content {
            case .text(let text): form.data = ZNodeFacts.shortened(text, to: 1024)
            case .binary: form.problem = "binary"
            case .tooLong: form.problem = "too-long"
            case .refused: form.problem = "refused"
            case .missing: form.problem = "missing"
            }
            return form
        }
    }
}
