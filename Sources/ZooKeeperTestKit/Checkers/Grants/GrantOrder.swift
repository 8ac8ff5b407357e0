/// Judges grants by their spans: those that exclude each other must not meet, and the later one has the higher token.
struct GrantOrder {
    /// The span that is farthest by some measure, and the farthest one of any other grant.
    private struct Farthest {
        let measure: (GrantSpan) -> Int64
        private var best: GrantSpan?
        private var other: GrantSpan?

        init(by measure: @escaping (GrantSpan) -> Int64) {
            self.measure = measure
        }

        mutating func add(_ span: GrantSpan) {
            if best.map({ measure(span) > measure($0) }) ?? true {
                if best?.grant != span.grant { other = best }
                best = span
            } else if span.grant != best?.grant, other.map({ measure(span) > measure($0) }) ?? true {
                other = span
            }
        }

        /// The farthest one of another grant.
        func span(besides grant: Int) -> GrantSpan? { best?.grant == grant ? other : best }
    }

    let ledger: GrantLedger
    private let byFirst: [GrantSpan]

    init(_ ledger: GrantLedger) {
        self.ledger = ledger
        byFirst = ledger.grants.flatMap { [$0.exclusiveSpan, $0.sharedSpan].compactMap(\.self) }
            .sorted { ($0.first, $0.grant) < ($1.first, $1.grant) }
    }

    /// Each span that begins while one is valid that excludes it; of several the one that lasts longest is named.
    func overlaps() -> [Violation] {
        var (all, exclusive) = (Farthest { Int64($0.last) }, Farthest { Int64($0.last) })
        var found: [Violation] = []
        for span in byFirst {
            let rival = (span.isShared ? exclusive : all).span(besides: span.grant)
            if let rival, rival.last >= span.first { found.append(overlap(of: rival, span)) }
            all.add(span)
            if !span.isShared { exclusive.add(span) }
        }
        return found
    }

    private func overlap(of first: GrantSpan, _ second: GrantSpan) -> Violation {
        let rule = first.isShared || second.isShared ? ledger.rules.sharedOverlap : ledger.rules.overlap
        return ledger.violation(
            rule, "\(ledger.name(first.grant)) and \(ledger.name(second.grant))",
            [first.first, second.first, first.last])
    }

    /// Each span with a lower token than one that was over before it began.
    func disorders() -> [Violation] {
        let token = { (span: GrantSpan) in ledger.grants[span.grant].token }
        var (all, exclusive) = (Farthest(by: token), Farthest(by: token))
        let byLast = byFirst.sorted { ($0.last, $0.grant) < ($1.last, $1.grant) }
        var over = byLast[...]
        var found: [Violation] = []
        for span in byFirst {
            while let past = over.first, past.last < span.first {
                over.removeFirst()
                all.add(past)
                if !past.isShared { exclusive.add(past) }
            }
            guard let past = (span.isShared ? exclusive : all).span(besides: span.grant), token(past) > token(span)
            else { continue }
            found.append(
                ledger.violation(
                    ledger.rules.growth, "\(ledger.name(span.grant)) after \(ledger.name(past.grant))",
                    [past.last, span.first]))
        }
        return found
    }
}

extension GrantLedger {
    /// What single steps and pairs of grants break.
    func judged() -> [Violation] {
        let order = GrantOrder(self)
        return violations + order.overlaps() + order.disorders()
    }
}
