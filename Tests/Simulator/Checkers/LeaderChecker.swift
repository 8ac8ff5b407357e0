internal import ZooKeeper

/// What a participant does in an election.
package enum LeaderAction: Sendable, Hashable {
    /// It stands for election; until it begins, leaves or crashes.
    case waiting
    /// Its term began.
    case began(token: Int64)
    /// A piece of work as leader, what the term said of itself, and whether a store took its token, if one was asked.
    case acted(token: Int64, isValid: Bool, accepted: Bool? = nil)
    /// The term is over; a participant that stands again says `waiting` again.
    case ended(token: Int64)
    /// Somebody deleted the candidate that leads with this token; recorded at that instant, by whoever did it.
    case disturbed(token: Int64)
    /// The process died.
    case crashed
    /// It does not take part any more, in office or waiting.
    case left
}

/// Judges an election: one leader at most, tokens that grow, and a successor in time.
///
/// It promises to find: two leaders valid at once, with all that ``FencedMutexChecker`` finds of grants; and an office that was
/// empty for longer than the bound while somebody waited all that time, from the first wait on. A successor may be the same
/// participant again. A term is over when it ends or its process does. One that was silent for longer than the bound was
/// over at its last valid act: that is how frozen leaders show. So a leader has to act more often than the bound.
///
/// It cannot see whether a waiter could have been elected: the bound must cover what the scenario does to the ensemble and to the
/// waiters, the session timeout included. A history that stops before the bound has passed owes no successor.
package struct LeaderChecker: HistoryChecker {
    package static let rules = GrantRules(overlap: "At most one leader is valid at any instant")
    /// The rule of succession.
    package static let succession = "A leader follows within the bound while somebody waits"

    /// The longest time that an office may be empty.
    package var successorBound: Duration

    package init(successorBound: Duration) {
        self.successorBound = successorBound
    }

    package func violations(in history: [HistoryEntry<LeaderAction>]) -> [Violation] {
        let steps = chronology(of: history).map { index in
            let entry = history[index]
            return GrantStep(entry: index, time: entry.time, process: entry.process, event: entry.action.event)
        }
        let ledger = GrantLedger(steps, rules: Self.rules)
        return (ledger.judged() + vacancies(history, ledger)).inOrder()
    }

    private func vacancies(_ history: [HistoryEntry<LeaderAction>], _ ledger: GrantLedger) -> [Violation] {
        var office = Succession(bound: successorBound)
        let ends = ledger.ends(patience: successorBound)
        for (step, ends) in zip(ledger.steps, ends) {
            switch history[step.entry].action {
            case .waiting: office.waits(step.process, at: step.time, entry: step.entry)
            case .began:
                office.taken(at: step.time, entry: step.entry)
                office.stopsWaiting(step.process, at: step.time, entry: step.entry)
            case .crashed, .left: office.stopsWaiting(step.process, at: step.time, entry: step.entry)
            case .acted, .ended, .disturbed: break
            }
            for _ in 0..<ends { office.vacated(at: step.time, entry: step.entry) }
        }
        if let last = ledger.steps.last { office.observe(at: last.time, entry: last.entry) }
        return office.overdue.map { overdue in
            Violation(
                rule: Self.succession, detail: "\(overdue.process) waited in vain from \(overdue.since.inSeconds) on",
                entries: overdue.entries)
        }
    }
}

extension LeaderAction {
    fileprivate var event: GrantStep.Event {
        switch self {
        case .waiting: .other
        case .began(let token): .began(.token(token), token: token, isShared: false)
        case .acted(let token, let isValid, let accepted): .acted(.token(token), isValid: isValid, accepted: accepted)
        case .ended(let token): .ended(.token(token))
        case .disturbed(let token): .disturbed(token: token)
        case .crashed, .left: .stopped
        }
    }
}
