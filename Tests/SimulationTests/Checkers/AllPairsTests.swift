import Testing
import ZooKeeper
import ZooKeeperSimulator

/// The lock checker's sweep beside the plain definition, on histories of pure chance.
@Suite struct AllPairsTests {
    /// From the first to the last valid act of one grant as one kind, by position.
    private struct Span {
        var token: Int64
        var isShared: Bool
        var first: Int
        var last: Int

        func excludes(_ other: Span) -> Bool { !isShared || !other.isShared }
    }

    /// A history of a few grants whose acts are strewn over it.
    private func strewn(seed: UInt64) -> [HistoryEntry<LockAction>] {
        var chance = Chance(seed: seed)
        var acts = (0..<2 + chance.below(4)).map { grant in Self.acts(token: Int64(grant), &chance) }
        var deeds: [Deed<LockAction>] = []
        while let early = acts.firstIndex(where: { !$0.isEmpty }) {
            // Mostly in order, so that some histories break nothing.
            let grant = chance.oneIn(4) ? early + chance.below(acts.count - early) : early
            guard !acts[grant].isEmpty else { continue }
            deeds.append((Int64(deeds.count / 2), "process \(grant)", acts[grant].removeFirst()))
        }
        return history(deeds)
    }

    /// What the holder of one grant does, in order.
    private static func acts(token: Int64, _ chance: inout Chance) -> [LockAction] {
        var acts = (0..<chance.below(5)).map { _ in LockAction.valid(token) }
        let isReader = chance.oneIn(2)
        if !isReader, chance.oneIn(2) { acts.insert(.downgraded(token: token), at: chance.below(acts.count + 1)) }
        return [.began(token: token, kind: isReader ? .read : .write)] + acts
    }

    private func spans(of history: [HistoryEntry<LockAction>]) -> [Span] {
        history.flatMap { entry -> [Span] in
            guard case .began(let token, let kind) = entry.action else { return [] }
            let downgraded = history.firstIndex { $0.action == .downgraded(token: token) } ?? history.count
            let acts = history.indices.filter { history[$0].action == .valid(token) }
            let (before, after) = (acts.filter { $0 < downgraded }, acts.filter { $0 > downgraded })
            var spans: [Span] = []
            if let first = before.first, let last = before.last {
                let last = after.isEmpty ? last : downgraded
                spans.append(Span(token: token, isShared: kind == .read, first: first, last: last))
            }
            if let first = after.first, let last = after.last {
                let first = before.isEmpty ? first : downgraded
                spans.append(Span(token: token, isShared: true, first: first, last: last))
            }
            return spans
        }
    }

    /// What the definition says, pair by pair.
    private func rules(brokenIn history: [HistoryEntry<LockAction>]) -> Set<String> {
        let (names, spans) = (ReadWriteLockChecker.rules, spans(of: history))
        var broken: Set<String> = []
        for left in spans {
            for right in spans where left.token < right.token && left.excludes(right) {
                if left.first <= right.last, right.first <= left.last {
                    broken.insert(left.isShared || right.isShared ? names.sharedOverlap : names.overlap)
                } else if right.last < left.first {
                    broken.insert(names.growth)
                }
            }
        }
        return broken
    }

    @Test func `the sweep breaks the rules that comparing all pairs breaks`() {
        var good = 0
        for seed in UInt64(1)...2000 {
            let history = strewn(seed: seed)
            let expected = rules(brokenIn: history)
            let found = ReadWriteLockChecker().violations(in: history)
            if expected.isEmpty { good += 1 }
            #expect(found.isEmpty == expected.isEmpty, "seed \(seed)")
            #expect(Set(found.map(\.rule)).isSubset(of: expected), "seed \(seed)")
        }
        // Both kinds come often enough to mean something.
        #expect((200...1800).contains(good))
    }
}
