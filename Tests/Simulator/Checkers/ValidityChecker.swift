package import ZooKeeper

/// What clients say of their sessions, and what the ensemble did to them.
package enum ValidityAction: Sendable, Hashable {
    /// The client said that what it holds by this session is valid.
    case claimedValid(SessionID)
    /// A server gave the session up, for whatever reason; recorded at that instant.
    case sessionEnded(SessionID)
}

/// Judges validity deadlines: no client calls itself valid when a server has given its session up.
///
/// It promises to find every claim at or after the first instant at which any server gave the session up, also a claim at
/// the very same instant that was recorded before it.
///
/// It cannot see claims that nobody asked for: the scenario asks often, above all right after a stop. It does not judge
/// deadlines that come too early.
package struct ValidityChecker: HistoryChecker {
    package static let rule = "No session is claimed valid once a server has given it up"

    package init() {}

    package func violations(in history: [HistoryEntry<ValidityAction>]) -> [Violation] {
        var ends: [SessionID: Int] = [:]
        for index in chronology(of: history) {
            if case .sessionEnded(let session) = history[index].action, ends[session] == nil { ends[session] = index }
        }
        return history.indices.compactMap { index in
            guard case .claimedValid(let session) = history[index].action, let end = ends[session],
                history[index].time >= history[end].time
            else { return nil }
            return Violation(
                rule: Self.rule,
                detail: "\(history[index].process) claimed session \(session) at \(history[index].time.inSeconds), "
                    + "given up by \(history[end].process) at \(history[end].time.inSeconds)",
                entries: [end, index])
        }.inOrder()
    }
}
