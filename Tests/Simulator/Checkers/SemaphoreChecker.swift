internal import ZooKeeper

/// What a participant does with a semaphore's leases.
package enum SemaphoreAction: Sendable, Hashable {
    /// Leases were granted and the work under them starts.
    case began(token: Int64, count: Int)
    /// A piece of work, and what the grant said of itself at that instant.
    case acted(token: Int64, isValid: Bool)
    /// Nothing more is done under this grant.
    case ended(token: Int64)
    /// Somebody deleted one of the grant's znodes.
    case disturbed(token: Int64)
    /// The process died, and all it held with it.
    case crashed
}

/// Judges a semaphore whose limit does not change.
///
/// It promises to find: more leases valid at once than the limit, counting each grant's leases from its first to its last
/// valid act; a valid act after the end of its grant or its process; an act under a grant that its process never began.
///
/// A grant whose znode somebody deleted counts up to that instant.
///
/// It cannot see validity between acts, nor a lease that is never granted.
package struct SemaphoreChecker: HistoryChecker {
    /// The promises, as sentences.
    package static let overLimit = "Never more valid leases than the limit"
    package static let afterEnd = "Nothing is valid after its grant has ended"
    package static let beginning = "An act belongs to a grant that its process began"

    private struct Key: Hashable {
        var process: String
        var token: Int64
    }

    private struct Grant {
        var process: String
        var token: Int64
        var count: Int
        var firstValid: Int?
        var lastValid: Int?
        var isDisturbed = false
        var hasEnded = false
    }

    private let limit: Int

    package init(limit: Int) {
        self.limit = limit
    }

    package func violations(in history: [HistoryEntry<SemaphoreAction>]) -> [Violation] {
        var grants: [Grant] = []
        var indices: [Key: Int] = [:]
        var disturbed: Set<Int64> = []
        var found: [Violation] = []
        for entry in chronology(of: history) {
            let (process, action) = (history[entry].process, history[entry].action)
            switch action {
            case .began(let token, let count):
                indices[Key(process: process, token: token)] = grants.count
                grants.append(
                    Grant(process: process, token: token, count: count, isDisturbed: disturbed.contains(token)))
            case .acted(let token, let isValid):
                guard let index = indices[Key(process: process, token: token)] else {
                    found.append(
                        Violation(
                            rule: Self.beginning, detail: "\(process) used token \(token)", entries: [entry]))
                    continue
                }
                guard isValid else { continue }
                if grants[index].hasEnded {
                    found.append(
                        Violation(rule: Self.afterEnd, detail: "\(process) (token \(token)) acted", entries: [entry]))
                }
                guard !grants[index].isDisturbed else { continue }
                grants[index].firstValid = grants[index].firstValid ?? entry
                grants[index].lastValid = entry
            case .ended(let token):
                if let index = indices[Key(process: process, token: token)] { grants[index].hasEnded = true }
            case .disturbed(let token):
                disturbed.insert(token)
                for index in grants.indices where grants[index].token == token { grants[index].isDisturbed = true }
            case .crashed:
                for index in grants.indices where grants[index].process.hasBytes(of: process) {
                    grants[index].hasEnded = true
                }
            }
        }
        return (found + crowds(grants, history)).inOrder()
    }

    /// Each grant whose first valid act makes the leases too many.
    private func crowds(_ grants: [Grant], _ history: [HistoryEntry<SemaphoreAction>]) -> [Violation] {
        var place: [Int: Int] = [:]
        for (position, entry) in chronology(of: history).enumerated() { place[entry] = position }
        let spans = grants.compactMap { grant -> (grant: Grant, first: Int, last: Int)? in
            guard let first = grant.firstValid.flatMap({ place[$0] }), let last = grant.lastValid.flatMap({ place[$0] })
            else { return nil }
            return (grant, first, last)
        }.sorted { $0.first < $1.first }
        var found: [Violation] = []
        var standing: [(grant: Grant, first: Int, last: Int)] = []
        for span in spans {
            standing.removeAll { $0.last < span.first }
            standing.append(span)
            let count = standing.reduce(0) { $0 + $1.grant.count }
            guard count > limit else { continue }
            let names = standing.map { "\($0.grant.process) (token \($0.grant.token), \($0.grant.count))" }
            let time = span.grant.firstValid.map { history[$0].time.inSeconds } ?? ""
            found.append(
                Violation(
                    rule: Self.overLimit,
                    detail: "\(count) of \(limit): \(names.joined(separator: ", ")), at \(time)",
                    entries: standing.compactMap(\.grant.firstValid)))
        }
        return found
    }
}
