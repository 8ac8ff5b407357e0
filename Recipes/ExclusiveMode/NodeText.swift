/// The data of the exclusive mode's znodes: one `key=value` a line, so that people and other languages can read it.
///
/// Line breaks and backslashes in values are escaped with a backslash.
struct NodeText: Sendable, Equatable {
    private(set) var fields: [(key: String, value: String)] = []

    static func == (left: NodeText, right: NodeText) -> Bool {
        left.fields.elementsEqual(right.fields, by: ==)
    }

    init() {}

    init(_ bytes: [UInt8]) {
        // By scalars: a value may begin with one that makes a single character of itself and the sign before it.
        for line in String(decoding: bytes, as: UTF8.self).unicodeScalars.split(separator: "\n") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            fields.append((String(line[..<equals]), Self.unescaped(line[line.index(after: equals)...])))
        }
    }

    subscript(key: String) -> String? {
        get { fields.last { $0.key == key }?.value }
        set {
            fields.removeAll { $0.key == key }
            if let newValue { fields.append((key, newValue)) }
        }
    }

    var bytes: [UInt8] {
        Array(fields.map { "\($0.key)=\(Self.escaped($0.value))\n" }.joined().utf8)
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func unescaped(_ value: Substring.UnicodeScalarView) -> String {
        var text = ""
        var isEscape = false
        for scalar in value {
            if isEscape {
                text.unicodeScalars.append(scalar == "n" ? "\n" : scalar == "r" ? "\r" : scalar)
                isEscape = false
            } else if scalar == "\\" {
                isEscape = true
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension Duration {
    /// Whole milliseconds as text.
    var inMilliseconds: String {
        String(components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000)
    }

    init?(milliseconds text: String?) {
        guard let text, let number = Int64(text) else { return nil }
        self = .milliseconds(number)
    }
}

/// What a signal znode says.
struct SignalText: Sendable, Equatable {
    /// Names the window; its record carries it.
    var id: String
    var owner: String
    var reason: String
    /// The operator's session timeout.
    var sessionTimeout: Duration?
    /// Whether the window's end leaves a record, so that an end without one is a crash.
    var keepsRecords: Bool

    init(id: String, owner: String, reason: String, sessionTimeout: Duration) {
        self.id = id
        self.owner = owner
        self.reason = reason
        self.sessionTimeout = sessionTimeout
        keepsRecords = true
    }

    /// Reads any signal; one that was not written by this package, such as a JVM operator's, keeps no records.
    init(_ data: [UInt8]) {
        let text = NodeText(data)
        id = text["id"] ?? ""
        owner = text["owner"] ?? "unknown"
        reason = text["reason"] ?? ""
        sessionTimeout = Duration(milliseconds: text["timeout"])
        keepsRecords = text["records"] == "yes" && !id.isEmpty
    }

    var bytes: [UInt8] {
        var text = NodeText()
        text["id"] = id
        text["owner"] = owner
        text["reason"] = reason
        text["timeout"] = sessionTimeout?.inMilliseconds
        text["records"] = keepsRecords ? "yes" : "no"
        return text.bytes
    }
}

/// What a processor's read znode and member znode say.
struct ProcessorText: Sendable, Equatable {
    /// The name of the member znode.
    var member: String
    /// The name for people.
    var name: String
    var host: String
    var pid: Int32
    var sessionTimeout: Duration?
    /// While draining: how many events are inside, and for how long at most.
    var inside: Int?
    var oldest: Duration?

    init(member: String, name: String, sessionTimeout: Duration) {
        self.member = member
        self.name = name
        host = ProcessIdentity.current.host
        pid = ProcessIdentity.current.pid
        self.sessionTimeout = sessionTimeout
    }

    /// Reads any read lock's data; one that was not written by this package is known by its znode's name alone.
    init(_ data: [UInt8], nodeName: String) {
        let text = NodeText(data)
        member = text["member"] ?? ""
        name = text["name"] ?? nodeName
        host = text["host"] ?? ""
        pid = text["pid"].flatMap { Int32($0) } ?? 0
        sessionTimeout = Duration(milliseconds: text["timeout"])
        inside = text["inside"].flatMap { Int($0) }
        oldest = Duration(milliseconds: text["oldest"])
    }

    var bytes: [UInt8] {
        var text = NodeText()
        text["member"] = member
        text["name"] = name
        text["host"] = host
        text["pid"] = String(pid)
        text["timeout"] = sessionTimeout?.inMilliseconds
        text["inside"] = inside.map { String($0) }
        text["oldest"] = oldest?.inMilliseconds
        return text.bytes
    }
}
