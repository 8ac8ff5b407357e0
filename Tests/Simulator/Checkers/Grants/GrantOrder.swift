/// Judges grants by their spans: those that exclude each other must not meet, and the later one has the higher token.
struct GrantOrder {
    /// The span with the highest measure of those that exclude a reader, and of all.
    private struct Highest {
        let measure: (GrantSpan) -> Int64
        private var all: GrantSpan?
        private var exclusive: GrantSpan?

        init(_ measure: @escaping (GrantSpan) -> Int64) {
            self.measure = measure
        }

        mutating func add(_ span: GrantSpan) {
            if all.map({ measure(span) > measure($0) }) ?? true { all = span }
            if !span.isShared, exclusive.map({ measure(span) > measure($0) }) ?? true { exclusive = span }
        }

        /// The highest one that excludes a span.
        ///
        /// A grant's own span is the highest only where it was downgraded, when no other one that was added lasts as long.
        func rival(of span: GrantSpan) -> GrantSpan? {
            let rival = span.isShared ? exclusive : all
            return rival?.grant == span.grant ? nil : rival
        }
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
        var lasting = Highest { Int64($0.last) }
        var found: [Violation] = []
        for span in byFirst {
            if let rival = lasting.rival(of: span), rival.last >= span.first {
                found.append(overlap(of: rival, span))
            }
            lasting.add(span)
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
        var past = Highest(token)
        let byLast = byFirst.sorted { ($0.last, $0.grant) < ($1.last, $1.grant) }
        var over = byLast[...]
        var found: [Violation] = []
        for span in byFirst {
            while let next = over.first, next.last < span.first {
                over.removeFirst()
                past.add(next)
            }
            guard let rival = past.rival(of: span), token(rival) > token(span) else { continue }
            found.append(
                ledger.violation(
                    ledger.rules.growth, "\(ledger.name(span.grant)) after \(ledger.name(rival.grant))",
                    [rival.last, span.first]))
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
