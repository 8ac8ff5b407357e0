internal import ZooKeeper

/// What processors and operators do around exclusive windows.
package enum ExclusiveAction: Sendable, Hashable {
    /// An event passed the gate, with its processor's token; the id is unique within the process.
    case eventEntered(id: Int, token: Int64)
    /// A piece of an event's work, what its permit said of itself, and whether a store took its token, if one was asked.
    case eventActed(id: Int, isValid: Bool, accepted: Bool? = nil)
    /// The event is done.
    case eventLeft(id: Int)
    /// A window's body starts.
    case windowBegan(token: Int64)
    /// A piece of the body's work, as for events.
    case windowActed(token: Int64, isValid: Bool, accepted: Bool? = nil)
    /// The body is over.
    case windowEnded(token: Int64)
    /// Somebody deleted the znode with this token, a processor's or a window's; recorded at that instant.
    case disturbed(token: Int64)
    /// An event asks to pass the gate, with the id that it will have.
    case eventAsked(id: Int)
    /// The event does not ask any more, and has not entered.
    case eventGaveUp(id: Int)
    /// The process was killed.
    case died
    /// The signal was created, or has gone; recorded at that instant.
    case windowWanted(Bool)
    /// Nothing strikes from here on.
    case settled
    /// What follows is not judged by how soon events are admitted.
    case ending
}

/// Judges exclusive mode: no event's work meets a window's body.
///
/// It promises to find: an event whose time, from its first to its last act that was valid and not refused, meets that of a
/// window's body; an accepted act, valid or not, of an event inside a body; two windows valid at once; a token that does not
/// grow from events to a window, from a window to events, or from window to window; a valid act that the store refused; an
/// accepted token that is lower than one before which it should come; valid acts after the end of their event or window.
///
/// From the moment somebody deletes their znode, events and windows may meet; what the store accepts still grows.
///
/// With a bound it also finds an event that asks, while nothing strikes, for longer than that without a window being wanted.
///
/// It cannot see an event that enters inside a body and does nothing, nor work that is not recorded as an act. An act
/// of an event that is past its deadline is only refused by a store that has seen the window's token: a body should write first.
package struct ExclusiveModeChecker: HistoryChecker {
    package static let rules = GrantRules(
        overlap: "Two windows are not valid at once", sharedOverlap: "No event is inside a window's body",
        growth: "Tokens grow from processor to window to processor")
    /// The rule about acts that were not valid.
    package static let effect = "Nothing that an event does inside a window's body is accepted"

    /// The rule about waiting.
    package static let admission = "Events are admitted while no window is wanted"

    private let bound: Duration?

    /// - Parameter bound: How long an event may wait at a stretch while no window is wanted; `nil` does not judge that.
    package init(admissionWithin bound: Duration? = nil) {
        self.bound = bound
    }

    package func violations(in history: [HistoryEntry<ExclusiveAction>]) -> [Violation] {
        let steps = chronology(of: history).map { index in
            let entry = history[index]
            return GrantStep(entry: index, time: entry.time, process: entry.process, event: entry.action.event)
        }
        let ledger = GrantLedger(steps, rules: Self.rules, countsRefusedActs: false)
        return (ledger.judged() + lateEffects(ledger) + lateAdmissions(history)).inOrder()
    }

    /// Events that waited too long.
    private func lateAdmissions(_ history: [HistoryEntry<ExclusiveAction>]) -> [Violation] {
        guard let bound else { return [] }
        var asking: [(process: String, id: Int, entry: Int)] = []
        // Since when nothing strikes, and since when no window is wanted.
        var settled: MonotonicInstant?
        var quiet: MonotonicInstant? = .distantPast
        var found: [Violation] = []
        func judge(at entry: Int, _ isJudged: (String, Int) -> Bool) {
            guard let settled, let quiet else { return }
            for one in asking where isJudged(one.process, one.id) {
                let waited = history[entry].time - max(history[one.entry].time, settled, quiet)
                guard waited > bound else { continue }
                found.append(
                    Violation(
                        rule: Self.admission, detail: "event \(one.id) of \(one.process) waited for \(waited)",
                        entries: [one.entry, entry]))
            }
        }
        for index in chronology(of: history) {
            let entry = history[index]
            switch entry.action {
            case .eventAsked(let id): asking.append((entry.process, id, index))
            case .eventEntered(let id, _), .eventGaveUp(let id):
                judge(at: index) { $0 == entry.process && $1 == id }
                asking.removeAll { $0.process == entry.process && $0.id == id }
            case .died: asking.removeAll { $0.process == entry.process }
            case .windowWanted(true):
                judge(at: index) { _, _ in true }
                quiet = nil
            case .windowWanted(false): quiet = entry.time
            case .settled: settled = entry.time
            case .ending:
                judge(at: index) { _, _ in true }
                settled = nil
            default: break
            }
        }
        return found
    }

    /// Acts of events that were not valid any more, inside a body, and taken by the store.
    private func lateEffects(_ ledger: GrantLedger) -> [Violation] {
        let bodies = ledger.grants.compactMap(\.exclusiveSpan).sorted { $0.first < $1.first }
        var begun = bodies[...]
        var longest: GrantSpan?
        var found: [Violation] = []
        for (position, step) in ledger.steps.enumerated() {
            while let body = begun.first, body.first < position {
                begun.removeFirst()
                if body.last > longest?.last ?? -1 { longest = body }
            }
            guard case .acted(.event, false, true) = step.event, let longest, longest.last > position,
                let event = ledger.grantOfStep[position], !ledger.isDisturbed(event, at: position)
            else { continue }
            found.append(
                ledger.violation(
                    Self.effect, "\(ledger.name(event)) wrote inside \(ledger.name(longest.grant))",
                    [longest.first, position]))
        }
        return found
    }
}

extension ExclusiveAction {
    fileprivate var event: GrantStep.Event {
        switch self {
        case .eventEntered(let id, let token): .began(.event(id), token: token, isShared: true)
        case .eventActed(let id, let isValid, let accepted): .acted(.event(id), isValid: isValid, accepted: accepted)
        case .eventLeft(let id): .ended(.event(id))
        case .windowBegan(let token): .began(.token(token), token: token, isShared: false)
        case .windowActed(let token, let isValid, let accepted):
            .acted(.token(token), isValid: isValid, accepted: accepted)
        case .windowEnded(let token): .ended(.token(token))
        case .disturbed(let token): .disturbed(token: token)
        case .eventAsked, .eventGaveUp, .died, .windowWanted, .settled, .ending: .other
        }
    }
}
