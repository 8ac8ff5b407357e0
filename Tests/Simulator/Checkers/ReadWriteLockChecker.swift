/// Judges a lock that many readers share, or one writer has.
///
/// It promises what ``FencedMutexChecker`` does, for pairs of which at least one is a writer: readers may be valid together,
/// in any order of tokens, and those of one process may share one. From its downgrade on a grant counts as a reader, up to it
/// as a writer, if it acted validly on both sides.
///
/// The store is expected to refuse a reader's token that is lower than a writer's that it accepted, and a writer's that is
/// lower than any.
///
/// It cannot see which of several readers with one process and token acted or ended: they end with the last of them.
package struct ReadWriteLockChecker: HistoryChecker {
    package static let rules = GrantRules(
        overlap: "Two writers are not valid at once", sharedOverlap: "A reader and a writer are not valid at once")

    package init() {}

    package func violations(in history: [HistoryEntry<LockAction>]) -> [Violation] {
        history.ledger(sharesReads: true, rules: Self.rules).judged().inOrder()
    }
}
