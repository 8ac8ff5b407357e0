internal import ZooKeeper
internal import ZooKeeperRecipes

// The stored form of a record: `key=value` lines, which people and programs in any language can read.
extension RunRecord {
    var bytes: [UInt8] { text.bytes }

    private var text: KeyValueData {
        var text = KeyValueData()
        text["period"] = period
        text["kind"] = kind.rawValue
        text["state"] = state.rawValue
        text["start"] = start.secondsText
        text["end"] = end?.secondsText
        text["remark"] = note
        text["node"] = participantID
        text["term"] = term.description
        text["token"] = token?.description
        text["attempt"] = String(attempt)
        text["claimed"] = claimedAt?.millisecondsText
        text["started"] = startedAt?.millisecondsText
        text["ended"] = endedAt?.millisecondsText
        text["explanation"] = message.map { String($0.prefix(Self.longest)) }
        text["from"] = firstSkippedPeriod
        text["checkpoint"] = checkpoint
        for attempt in previousAttempts.suffix(Self.keptAttempts) { text["attempt.\(attempt.number)"] = attempt.line }
        window?.write(to: &text)
        return text
    }

    /// The maximum number of characters of a message, and the maximum number of previous attempts, that are
    /// stored.
    private static let longest = 2000
    private static let keptAttempts = 20

    /// Parses a record; `nil` if the data is not one.
    init?(_ data: [UInt8]) {
        let text = KeyValueData(data)
        func time(_ key: String) -> Timestamp? { text[key].flatMap(Timestamp.init) }
        guard let period = text["period"], let kind = text["kind"].flatMap(Kind.init(rawValue:)),
            let state = text["state"].flatMap(State.init(rawValue:)),
            let start = time("start"),
            let term = FencingToken(text: text["term"])
        else { return nil }
        self.init(
            period: period, kind: kind, start: start, end: time("end"), note: text["remark"], state: state,
            participantID: text["node"] ?? "", term: term, token: FencingToken(text: text["token"]),
            attempt: text["attempt"].flatMap { Int(digits: $0.utf8) } ?? 1, claimedAt: time("claimed"),
            startedAt: time("started"), endedAt: time("ended"), message: text["explanation"],
            firstSkippedPeriod: text["from"], checkpoint: text["checkpoint"],
            previousAttempts: text.fields.compactMap { Attempt(key: $0.key, line: $0.value) },
            window: Window(text))
    }
}

extension RunRecord.Attempt {
    /// The stored form of the attempt.
    ///
    /// The reason is last and takes the rest of the line. The node comes before it, with tabs replaced by spaces.
    fileprivate var line: String {
        "\(token?.description ?? "-")\t\(String(String.UnicodeScalarView(participantID.unicodeScalars.map { $0 == "\t" ? " " : $0 })))\t\(reason)"
    }

    fileprivate init?(key: String, line: String) {
        let parts = line.unicodeScalars.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
            .map { String($0) }
        guard key.hasPrefix("attempt."), let number = Int(key.dropFirst("attempt.".count)), parts.count == 3
        else { return nil }
        self.init(number: number, participantID: parts[1], token: FencingToken(text: parts[0]), reason: parts[2])
    }
}

extension RunRecord.Window {
    fileprivate func write(to text: inout KeyValueData) {
        text["window.token"] = token.description
        text["window.processors"] = String(processors)
        text["window.drained"] = drainDuration.inMilliseconds
        text["window.slowest"] = slowestProcessor
        text["window.forced"] = evicted.isEmpty ? nil : evicted.joined(separator: "\t")
        text["window.resumed"] = resumed?.inMilliseconds
    }

    fileprivate init?(_ text: KeyValueData) {
        guard let token = FencingToken(text: text["window.token"]) else { return nil }
        self.init(
            token: token, processors: text["window.processors"].flatMap { Int($0) } ?? 0,
            drainDuration: Duration(milliseconds: text["window.drained"]) ?? .zero,
            slowestProcessor: text["window.slowest"],
            evicted: text["window.forced"]?.unicodeScalars.split(separator: "\t").map { String($0) } ?? [],
            resumed: Duration(milliseconds: text["window.resumed"]))
    }
}

extension FencingToken {
    init?(text: String?) {
        guard let number = text.flatMap({ Int64($0) }) else { return nil }
        self.init(rawValue: number)
    }
}
