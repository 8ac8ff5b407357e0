internal import ZooKeeper

/// What a signal znode says.
struct SignalRecord: Sendable, Equatable {
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
        let text = KeyValueData(data)
        id = text["id"] ?? ""
        owner = text["owner"] ?? "unknown"
        reason = text["reason"] ?? ""
        sessionTimeout = Duration(milliseconds: text["timeout"])
        keepsRecords = text["records"] == "yes" && !id.isEmpty
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        text["id"] = id
        text["owner"] = owner
        text["reason"] = reason
        text["timeout"] = sessionTimeout?.inMilliseconds
        text["records"] = keepsRecords ? "yes" : "no"
        return text.bytes
    }
}

/// What a processor's read znode and member znode say.
struct ProcessorRecord: Sendable, Equatable {
    /// The name of the member znode.
    var member: String
    /// The name for people.
    var name: String
    var host: String
    var pid: Int32
    var sessionTimeout: Duration?
    /// While draining, and when the gate reopens after that: how many events are inside, and for how long at most.
    var inside: Int?
    var oldest: Duration?
    /// What the gate says that it is doing; `nil` until something out of the ordinary has happened.
    var state: State?

    enum State: String {
        /// It admits events again because the window was given up.
        case reopened
        /// It waits before it opens, because a window crashed.
        case recovering
        /// It has waited long enough, and admits events.
        case recovered
    }

    var isDraining: Bool { inside != nil && state == nil }

    init(member: String, name: String, sessionTimeout: Duration) {
        self.member = member
        self.name = name
        host = ProcessIdentity.current.host
        pid = ProcessIdentity.current.pid
        self.sessionTimeout = sessionTimeout
    }

    /// Reads any read lock's data; one that was not written by this package is known by its znode's name alone.
    init(_ data: [UInt8], nodeName: String) {
        let text = KeyValueData(data)
        member = text["member"] ?? ""
        name = text["name"] ?? nodeName
        host = text["host"] ?? ""
        pid = text["pid"].flatMap { Int32($0) } ?? 0
        sessionTimeout = Duration(milliseconds: text["timeout"])
        inside = text["inside"].flatMap { Int($0) }
        state = text["state"].flatMap(State.init)
        oldest = Duration(milliseconds: text["oldest"])
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        text["member"] = member
        text["name"] = name
        text["host"] = host
        text["pid"] = String(pid)
        text["timeout"] = sessionTimeout?.inMilliseconds
        text["inside"] = inside.map { String($0) }
        text["oldest"] = oldest?.inMilliseconds
        text["state"] = state?.rawValue
        return text.bytes
    }
}
