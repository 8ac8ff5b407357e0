import ZooKeeperTransport

/// What one session of a sequence was told, without what two servers need not agree on.
///
/// Left out are the two clocks of a stat. Zxids are counted from the transaction that created the sequence's root, and
/// owners are named by the order in which sessions began. Children are sorted, which have no order, and so are the events
/// between two answers: of those that a session's end causes servers promise none.
struct SequenceTranscript: Sendable {
    var lines: [String] = []
    /// Codes of answers and of operations in transactions.
    var codes: Set<ReplyCode> = []
    var events: [TransportWatchEvent.Kind: Int] = [:]

    static func of(_ sessions: [SequenceSession]) -> [SequenceTranscript] {
        guard case .reply(_, let first)? = sessions.first?.entries.first(where: \.isReply),
            case .created(_, let stat) = first.body
        else { return [] }
        var names: [Int64: String] = [0: "nobody", .min: "a container"]
        for (number, session) in sessions.enumerated() { names[session.id] = "session \(number)" }
        let text = SequenceText(base: stat.czxid, names: names)
        return sessions.map { SequenceTranscript($0.entries, text) }
    }

    private init(_ entries: [SequenceSession.Entry], _ text: SequenceText) {
        var watchEvents: [String] = []
        for entry in entries {
            if case .event(.watch(let event)) = entry {
                watchEvents.append("    \(event.kind) \(event.path)")
                events[event.kind, default: 0] += 1
                continue
            }
            lines += watchEvents.sorted()
            watchEvents = []
            switch entry {
            case .event(let event): lines.append(text.text(event))
            case .reply(let request, let reply):
                lines.append("\(request) -> \(text.text(reply))")
                note(reply)
            }
        }
        lines += watchEvents.sorted()
    }

    private mutating func note(_ reply: TransportReply) {
        codes.insert(reply.code)
        if case .multi(let results) = reply.body { codes.formUnion(results.map(\.code)) }
    }

    /// The first difference, with five lines before; `nil` when there is none.
    static func difference(_ real: SequenceTranscript, _ simulated: SequenceTranscript) -> String? {
        guard real.lines != simulated.lines else { return nil }
        let index =
            zip(real.lines, simulated.lines).enumerated().first { $1.0 != $1.1 }?.offset
            ?? min(real.lines.count, simulated.lines.count)
        let before = real.lines[..<index].suffix(5).map { "           \($0)\n" }.joined()
        func line(_ lines: [String]) -> String { index < lines.count ? lines[index] : "nothing more" }
        return "line \(index), after\n\(before)real:      \(line(real.lines))\nsimulated: \(line(simulated.lines))"
    }
}

extension SequenceSession.Entry {
    fileprivate var isReply: Bool { if case .reply = self { true } else { false } }
}

/// Answers as text.
private struct SequenceText {
    let base: Int64
    let names: [Int64: String]

    func text(_ event: TransportEvent) -> String {
        if case .connected(let session) = event { return "connected for \(session.timeout) ms" }
        return "\(event)"
    }

    func text(_ reply: TransportReply) -> String {
        let body: String =
            switch reply.body {
            case .none: ""
            case .created(let path, let stat): "\(path) \(text(stat))"
            case .stat(let stat): text(stat)
            case .data(let data, let stat): "\(data.map { "\($0)" } ?? "no data") \(text(stat))"
            case .children(let names, let stat): "\(names.sorted()) \(text(stat))"
            case .acl(let acl, let stat): "\(acl) \(text(stat))"
            case .multi(let results): "\(results.map(text))"
            }
        return "\(reply.code) \(body)"
    }

    private func text(_ result: TransportOperationResult) -> String {
        "\(result.code) \(result.path ?? "") \(result.stat.map(text) ?? "")"
    }

    private func text(_ stat: TransportStat) -> String {
        """
        [c \(zxid(stat.czxid)) m \(zxid(stat.mzxid)) p \(zxid(stat.pzxid)) v \(stat.version) cv \(stat.cversion) \
        av \(stat.aversion) of \(names[stat.ephemeralOwner] ?? "a stranger") length \(stat.dataLength) \
        children \(stat.numChildren)]
        """
    }

    /// Counted from the sequence's beginning; what every server begins with stands at 0.
    private func zxid(_ zxid: Int64) -> String { zxid == 0 ? "the beginning" : "\(zxid - base)" }
}
