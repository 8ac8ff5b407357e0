public import ZooKeeper

/// The record of a window that has ended.
public struct WindowRecord: Sendable, Hashable {
    /// The outcome of a window.
    public enum Outcome: String, Sendable, Hashable {
        /// The operation returned.
        case completed
        /// The operation threw an error.
        case failed
        /// The window never opened: it was cancelled, it was lost, or not every processor paused in time.
        case aborted
        /// The window was lost while the operation ran.
        case lost
        /// The window left no record itself.
        ///
        /// Its process was killed, disconnected, or frozen for longer than its session, or another client deleted its
        /// znodes and the process could not record the end. A participant that waited the resume delay after that has
        /// written this record. ``WindowRecord/duration`` ends when a processor or a later window detected the crash,
        /// which is not before the window's session had ended.
        case crashed
        /// Processors were evicted, and no participant has waited yet until these had to stop.
        ///
        /// This record exists in addition to the window's own record if the window ended too early. The next window
        /// waits instead.
        case evicting
    }

    /// The ID of the window.
    public var id: String
    /// The fencing token of the window.
    public var token: FencingToken
    /// The ID of the participant that opened the window.
    public var participantID: String
    /// The purpose of the window.
    public var reason: String
    /// The time of the request, by the ensemble's clock.
    public var requestedAt: Timestamp
    /// The time from the request until every processor had paused, or must have stopped; `nil` if that never happened.
    public var drainDuration: Duration?
    /// The time from the request until the end.
    public var duration: Duration
    /// The outcome of the window.
    public var outcome: Outcome
    /// The processor that paused last: see ``ExclusiveWindow/slowestProcessor``.
    public var slowestProcessor: String?
    /// The IDs of the processors that were evicted because they did not pause.
    public var evicted: [String]
}

extension WindowRecord {
    /// The number of records that are kept.
    static let kept = 20

    /// Parses the records of the last windows, the newest last; skips invalid records.
    static func list(_ data: [UInt8]) -> [WindowRecord] {
        String(decoding: data, as: UTF8.self).unicodeScalars.split(separator: "\n").compactMap(WindowRecord.init(line:))
    }

    /// Returns the records as they are stored: the last ones, and earlier evictions that the next window must wait for.
    static func bytes(_ records: [WindowRecord]) -> [UInt8] {
        let unsettled = records.dropLast(kept).filter { $0.outcome == .evicting }
        return Array((unsettled + records.suffix(kept)).map(\.line).joined().utf8)
    }

    /// The time for which evicted processors may have continued; `nil` if no participant has to wait for it.
    var evictionTime: Duration? {
        guard outcome == .evicting, let drainDuration else { return nil }
        return drainDuration - duration
    }

    private var line: String {
        var fields = [
            ("id", id), ("token", String(token.rawValue)), ("owner", participantID), ("reason", reason),
            ("requested", String(requestedAt.millisecondsSince1970)), ("ended", duration.inMilliseconds),
            ("outcome", outcome.rawValue),
        ]
        if let drainDuration { fields.append(("drained", drainDuration.inMilliseconds)) }
        if let slowestProcessor { fields.append(("slowest", slowestProcessor)) }
        fields += evicted.map { ("evicted", $0) }
        return fields.map { "\($0.0)=\(Self.flat($0.1))" }.joined(separator: "\t") + "\n"
    }

    /// Parses scalars, because text may start with one that combines with the separator before it into a single
    /// character.
    private init?(line: Substring.UnicodeScalarView) {
        let fields = line.split(separator: "\t").compactMap { field -> (key: String, value: String)? in
            let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
        func value(_ key: String) -> String? { fields.first { $0.key == key }?.value }
        guard let id = value("id"), let token = value("token").flatMap({ Int64($0) }) else { return nil }
        guard let outcome = value("outcome").flatMap(Outcome.init),
            let duration = Duration(milliseconds: value("ended"))
        else { return nil }
        self.init(
            id: id, token: FencingToken(rawValue: token), participantID: value("owner") ?? "",
            reason: value("reason") ?? "",
            requestedAt: Timestamp(millisecondsSince1970: value("requested").flatMap { Int64($0) } ?? 0),
            drainDuration: Duration(milliseconds: value("drained")), duration: duration, outcome: outcome,
            slowestProcessor: value("slowest"), evicted: fields.filter { $0.key == "evicted" }.map { $0.value })
    }

    /// Replaces tabs and line breaks, which would end a field, with spaces, and shortens the text, which is for
    /// display.
    private static func flat(_ text: String) -> String {
        let scalars = text.unicodeScalars.prefix(300).map { $0.value < 0x20 ? " " : $0 }
        return String(String.UnicodeScalarView(scalars))
    }
}
