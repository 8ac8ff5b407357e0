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
/// It cannot see an event that enters inside a body and does nothing, nor work that is not recorded as an act. An act
/// of an event that is past its deadline is only refused by a store that has seen the window's token: a body should write first.
package struct ExclusiveModeChecker: HistoryChecker {
    package static let rules = GrantRules(
        overlap: "Two windows are not valid at once", sharedOverlap: "No event is inside a window's body",
        growth: "Tokens grow from processor to window to processor")
    /// The rule about acts that were not valid.
    package static let effect = "Nothing that an event does inside a window's body is accepted"

    package init() {}

    package func violations(in history: [HistoryEntry<ExclusiveAction>]) -> [Violation] {
        let steps = chronology(of: history).map { index in
            let entry = history[index]
            return GrantStep(entry: index, time: entry.time, process: entry.process, event: entry.action.event)
        }
        let ledger = GrantLedger(steps, rules: Self.rules, countsRefusedActs: false)
        return (ledger.judged() + lateEffects(ledger)).inOrder()
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
        }
    }
}
