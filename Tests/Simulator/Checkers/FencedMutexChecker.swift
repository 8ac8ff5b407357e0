/// Judges a lock that one holder has at a time, whatever the kinds say.
///
/// It promises to find: valid acts of two grants of which neither was over when the other began; a later grant with a lower
/// token; a token of two grants; a valid act that the store refused; an accepted token that is lower than one accepted
/// before; a valid act after the end of its grant or its process. The grant's time goes from its first to its last valid act.
///
/// A grant whose znode somebody deleted may overlap and may be refused from then on, for as long as it may take to notice that;
/// what the store accepts still grows.
///
/// It cannot see validity between acts: a grant that calls itself valid too long without acting does not show. Neither can it
/// see the order of tokens of grants that never acted, nor a lock that is never granted.
package struct FencedMutexChecker: HistoryChecker {
    package static let rules = GrantRules()

    private let deletionNoticedWithin: Duration?

    /// - Parameter limit: How long a grant may be valid after somebody has deleted its znode; `nil` does not judge that.
    package init(deletionNoticedWithin limit: Duration? = nil) {
        deletionNoticedWithin = limit
    }

    package func violations(in history: [HistoryEntry<LockAction>]) -> [Violation] {
        var rules = Self.rules
        rules.deletionNoticedWithin = deletionNoticedWithin
        return history.ledger(sharesReads: false, rules: rules).judged().inOrder()
    }
}
