internal import ZooKeeper

/// The data of a signal znode.
struct SignalRecord: Sendable, Equatable {
    /// The ID of the window, which its record contains as well.
    var id: String
    var owner: String
    var reason: String
    /// The session timeout of the operator.
    var sessionTimeout: Duration?
    /// Whether the end of the window leaves a record, so that an end without a record is a crash.
    var keepsRecords: Bool
    /// Whether the signal belongs to holds, and not to a window: it is persistent.
    var isHold: Bool

    init(id: String, owner: String, reason: String, sessionTimeout: Duration) {
        self.id = id
        self.owner = owner
        self.reason = reason
        self.sessionTimeout = sessionTimeout
        keepsRecords = true
        isHold = false
    }

    /// Creates the signal of holds.
    ///
    /// - Parameter owner: The owner of one of the holds, for older versions, which show the signal as a window.
    init(holdOf owner: String) {
        id = ""
        self.owner = owner
        reason = "hold"
        keepsRecords = false
        isHold = true
    }

    /// Parses the data of any signal; a signal of another client library, such as a JVM operator's, leaves no records.
    init(_ data: [UInt8]) {
        let text = KeyValueData(data)
        id = text["id"] ?? ""
        owner = text["owner"] ?? "unknown"
        reason = text["reason"] ?? ""
        sessionTimeout = Duration(milliseconds: text["timeout"])
        keepsRecords = text["records"] == "yes" && !id.isEmpty
        isHold = text["kind"] == "hold"
    }

    var bytes: [UInt8] {
        var text = KeyValueData()
        if !isHold { text["id"] = id }
        text["owner"] = owner
        text["reason"] = reason
        text["timeout"] = sessionTimeout?.inMilliseconds
        text["records"] = keepsRecords ? "yes" : "no"
        if isHold { text["kind"] = "hold" }
        return text.bytes
    }
}

/// The data of a processor's read znode and member znode.
struct ProcessorRecord: Sendable, Equatable {
    /// The name of the member znode.
    var member: String
    /// The name for display.
    var name: String
    var host: String
    var pid: Int32
    var sessionTimeout: Duration?
    /// The number of events inside, and the longest time of any of them, while the gate drains and when it reopens
    /// afterwards.
    var inside: Int?
    var oldest: Duration?
    /// The state that the gate reports; `nil` until something unusual has happened.
    var state: State?

    enum State: String {
        /// The gate admits events again because the window ended before it opened.
        case reopened
        /// The gate waits before it opens, because a window crashed.
        case recovering
        /// The gate has waited long enough, and admits events.
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

    /// Parses the data of any read lock; the lock of another client library is identified only by the name of its
    /// znode.
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
