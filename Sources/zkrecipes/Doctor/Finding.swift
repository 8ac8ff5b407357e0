/// One result of the doctor: what is risky, why, and what to do.
struct Finding: Sendable, Equatable, Encodable {
    enum Severity: String, Sendable, Comparable, Encodable, CaseIterable {
        case note, warning, error

        static func < (one: Severity, other: Severity) -> Bool { one.rank < other.rank }

        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    var severity: Severity
    /// The stable name of the rule, for programs.
    var rule: String
    /// The server or the znode that the finding is about; `nil` if it is about this host or the whole ensemble.
    var subject: String?
    var what: String
    var why: String
    var remedy: String
}
