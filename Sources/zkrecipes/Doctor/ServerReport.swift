import SystemSupport
import ZooKeeper

/// The answers of one server to four-letter-word commands.
struct ServerReport: Sendable {
    /// The result of one command.
    enum Answer: Sendable, Equatable {
        case text(String)
        /// The server does not allow the command: it is missing in `4lw.commands.whitelist`.
        case notAllowed
        case failed(String)

        init(_ text: String) {
            self = text.contains("is not in the whitelist") ? .notAllowed : .text(text)
        }
    }

    /// The commands that the doctor sends.
    static let words = ["srvr", "mntr", "conf", "ruok"]

    var address: String
    var answers: [String: Answer]

    init(address: String, answers: [String: Answer]) {
        (self.address, self.answers) = (address, answers)
        srvr = Self.fields(answers["srvr"], separator: ": ")
        mntr = Self.fields(answers["mntr"], separator: "\t")
        conf = Self.fields(answers["conf"], separator: "=")
    }

    private let srvr: [String: String]
    private let mntr: [String: String]
    private let conf: [String: String]

    private static func fields(_ answer: Answer?, separator: String) -> [String: String] {
        guard case .text(let text) = answer else { return [:] }
        var fields: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let range = line.firstRange(of: separator) else { continue }
            fields[String(line[..<range.lowerBound])] = String(line[range.upperBound...])
        }
        return fields
    }

    // MARK: Reachability

    /// Why the server answers no command; `nil` if it answers at least one.
    var failure: String? {
        var failure: String?
        for word in Self.words {
            guard case .failed(let reason) = answers[word] else { return nil }
            failure = failure ?? reason
        }
        return failure
    }

    /// The commands that the server does not allow.
    var notAllowed: [String] { Self.words.filter { answers[$0] == .notAllowed } }

    /// Whether the server answers, but serves no clients, because it has no connection to a majority.
    var isNotServing: Bool {
        answers.values.contains {
            if case .text(let text) = $0 { text.contains("not currently serving") } else { false }
        }
    }

    // MARK: Values

    /// The version, such as `3.8.0`.
    var version: String? {
        let text = srvr["Zookeeper version"] ?? mntr["zk_version"]
        guard let version = text?.prefix(while: { $0 != "-" && $0 != "," }), !version.isEmpty else { return nil }
        return String(version)
    }

    /// The role: `leader`, `follower`, `observer` or `standalone`.
    var mode: String? { srvr["Mode"] ?? mntr["zk_server_state"] }
    /// The last transaction that the server has applied.
    var zxid: ZXID? {
        guard let text = srvr["Zxid"], text.hasPrefix("0x"), let value = UInt64(text.dropFirst(2), radix: 16) else {
            return nil
        }
        return ZXID(rawValue: Int64(bitPattern: value))
    }

    /// The latency of requests since the start of the server, in milliseconds.
    struct Latency: Sendable, Equatable, Encodable {
        var min, average, max: Double
    }

    var latency: Latency? {
        let values = (srvr["Latency min/avg/max"] ?? "").split(separator: "/").compactMap { Double($0) }
        guard values.count == 3, values.allSatisfy(\.isFinite) else { return nil }
        return Latency(min: values[0], average: values[1], max: values[2])
    }

    /// The number of sessions of the whole ensemble.
    var sessions: Int? { mntr["zk_global_sessions"].flatMap { Int($0) } }
    var outstandingRequests: Int? { (srvr["Outstanding"] ?? mntr["zk_outstanding_requests"]).flatMap { Int($0) } }
    var connections: Int? { (srvr["Connections"] ?? mntr["zk_num_alive_connections"]).flatMap { Int($0) } }
    var watches: Int? { mntr["zk_watch_count"].flatMap { Int($0) } }
    /// The number of followers, as the leader counts them.
    var followers: Int? { mntr["zk_learners"].flatMap { Int($0) } ?? mntr["zk_followers"].flatMap { Int($0) } }
    var syncedFollowers: Int? { mntr["zk_synced_followers"].flatMap { Int($0) } }
    var tickTime: Duration? { milliseconds("tickTime") }
    var minSessionTimeout: Duration? { milliseconds("minSessionTimeout") }
    var maxSessionTimeout: Duration? { milliseconds("maxSessionTimeout") }
    /// The largest packet that the server accepts, if it reports it; ZooKeeper 3.8 does not.
    var maximumPacketSize: Int? { (conf["jute.maxbuffer"] ?? mntr["zk_jute_maxbuffer"]).flatMap { Int($0) } }

    private func milliseconds(_ name: String) -> Duration? {
        conf[name].flatMap { Int64($0) }.map { .milliseconds($0) }
    }
}

extension ServerReport {
    /// Sends the commands to a server, all at the same time.
    static func asked(_ server: ServerAddress, timeout: Duration) async -> ServerReport {
        let answers = await withTaskGroup(of: (String, Answer).self) { group in
            for word in words {
                group.addTask {
                    do {
                        let text = try await answer(
                            toFourLetterWord: word, host: server.host, port: server.port, timeout: timeout)
                        // A server that accepts only TLS, or is no ZooKeeper server, closes the connection.
                        return (word, text.isEmpty ? .failed("closed by the server without an answer") : Answer(text))
                    } catch {
                        return (word, .failed("\(error)"))
                    }
                }
            }
            return await group.reduce(into: [String: Answer]()) { all, one in all.updateValue(one.1, forKey: one.0) }
        }
        return ServerReport(address: server.description, answers: answers)
    }
}
