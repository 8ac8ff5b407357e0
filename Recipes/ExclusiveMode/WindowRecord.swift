internal import ZooKeeper

/// What is kept of a window that has ended.
public struct WindowRecord: Sendable, Hashable {
    /// How a window ended.
    public enum Outcome: String, Sendable, Hashable {
        /// The operation returned.
        case completed
        /// The operation threw an error.
        case failed
        /// The window never opened: it was given up, or not every processor paused in time.
        case aborted
        /// The window was lost while the operation ran.
        case lost
        /// The window left no record: its process was killed, cut off or frozen for longer than its session, or somebody
        /// deleted its znodes and it could not tell how it ended. Whoever waited the resume delay after that has written this
        /// record. `ended` is when a processor or a later window noticed that, and not before its session had ended.
        case crashed
        /// Places of processors were taken away, and nobody has waited so far until these had to stop.
        ///
        /// Stands beside the window's own record when that ended too early; the next window waits in its place.
        case evicting = "forcing"
    }

    /// The window's own name.
    public var id: String
    /// The window's fencing token.
    public var token: FencingToken
    /// Who opened it.
    public var owner: String
    /// What it was for.
    public var reason: String
    /// When it was asked for, by the ensemble's clock: time since 1970.
    public var requested: Duration
    /// From the request until every processor had paused, or will have had to; `nil` when that never came.
    public var drained: Duration?
    /// From the request until the end.
    public var ended: Duration
    /// How it ended.
    public var outcome: Outcome
    /// The processor that paused last: see ``ExclusiveWindow/slowest``.
    public var slowest: String?
    /// Processors whose place was taken away because they did not pause.
    public var evicted: [String]
}

extension WindowRecord {
    /// How many are kept.
    static let kept = 20

    /// Reads the records of the last windows, the newest last, without those that cannot be read.
    static func list(_ data: [UInt8]) -> [WindowRecord] {
        String(decoding: data, as: UTF8.self).unicodeScalars.split(separator: "\n").compactMap(WindowRecord.init(line:))
    }

    /// The records as they are stored: the last ones, and of those before them what the next window must know.
    static func bytes(_ records: [WindowRecord]) -> [UInt8] {
        let unsettled = records.dropLast(kept).filter { $0.outcome == .evicting }
        return Array((unsettled + records.suffix(kept)).map(\.line).joined().utf8)
    }

    /// How long those whose places were taken away may have gone on after that; `nil` when nobody has to wait for it.
    var evictionTime: Duration? {
        guard outcome == .evicting, let drained else { return nil }
        return drained - ended
    }

    private var line: String {
        var fields = [
            ("id", id), ("token", String(token.rawValue)), ("owner", owner), ("reason", reason),
            ("requested", requested.inMilliseconds), ("ended", ended.inMilliseconds), ("outcome", outcome.rawValue),
        ]
        if let drained { fields.append(("drained", drained.inMilliseconds)) }
        if let slowest { fields.append(("slowest", slowest)) }
        fields += evicted.map { ("forced", $0) }
        return fields.map { "\($0.0)=\(Self.flat($0.1))" }.joined(separator: "\t") + "\n"
    }

    /// Reads by scalars: text may begin with one that makes a single character of itself and the sign before it.
    private init?(line: Substring.UnicodeScalarView) {
        let fields = line.split(separator: "\t").compactMap { field -> (key: String, value: String)? in
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
        func value(_ key: String) -> String? { fields.first { $0.key == key }?.value }
        guard let id = value("id"), let token = value("token").flatMap({ Int64($0) }) else { return nil }
        guard let outcome = value("outcome").flatMap(Outcome.init), let ended = Duration(milliseconds: value("ended"))
        else { return nil }
        self.init(
            id: id, token: FencingToken(rawValue: token), owner: value("owner") ?? "", reason: value("reason") ?? "",
            requested: Duration(milliseconds: value("requested")) ?? .zero,
            drained: Duration(milliseconds: value("drained")), ended: ended, outcome: outcome,
            slowest: value("slowest"), evicted: fields.filter { $0.key == "forced" }.map { $0.value })
    }

    /// Tabs and line breaks would end a field and become spaces; a record is for people and is kept short.
    private static func flat(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(300).map { $0.value < 0x20 ? " " : $0 }
        return String(String.UnicodeScalarView(scalars))
    }
}
