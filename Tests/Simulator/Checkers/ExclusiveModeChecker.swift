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
    /// That deletion was committed; recorded at that instant.
    case deleted(token: Int64)
    /// An event asks to pass the gate, with the id that it will have.
    case eventAsked(id: Int)
    /// The event does not ask any more, and has not entered.
    case eventGaveUp(id: Int)
    /// The process was killed.
    case died
    /// The signal was created, or has gone; recorded at that instant.
    case windowWanted(Bool)
    /// The session of a window's operator ended before the window; recorded at that instant, with the window's token.
    case windowCrashed(token: Int64)
    /// There are holds, continuously since this transaction; or none any more. Recorded at that instant.
    case heldSince(Int64?)
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
/// From the moment somebody deletes their znode, events and windows may meet, for as long as it may take to notice that; what the
/// store accepts still grows.
///
/// With a bound it also finds an event that asks, while nothing strikes, for longer than that without a window being wanted.
/// With a resume delay it finds an event of a later place, or a later window's body, that begins sooner than that after a
/// window has crashed. It also finds an event that enters during a hold, of a place that is younger than the hold.
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

    /// The rule about holds.
    package static let hold = "No processor resumes during a hold"

    /// The rule about crashed windows.
    package static let resumption = "Nothing begins before the resume delay after a crashed window"

    private let bound: Duration?
    private let resumeDelay: Duration
    private let deletionNoticedWithin: Duration?
    private let knowsOfCrashes: (String) -> Bool

    /// - Parameters:
    ///   - bound: How long an event may wait at a stretch while no window is wanted; `nil` does not judge that.
    ///   - resumeDelay: How long processors and windows wait at least after a window that crashed.
    ///   - limit: How long an event or a window may be valid after somebody has deleted its znode; `nil` does not judge that.
    ///   - knowsOfCrashes: Whether the process with this name waits for the resume delay, and looks for holds without a signal;
    ///     those built with Curator do not.
    package init(
        admissionWithin bound: Duration? = nil, resumeDelay: Duration = .zero,
        deletionNoticedWithin limit: Duration? = nil, knowsOfCrashes: @escaping (String) -> Bool = { _ in true }
    ) {
        self.knowsOfCrashes = knowsOfCrashes
        self.bound = bound
        deletionNoticedWithin = limit
        self.resumeDelay = resumeDelay
    }

    package func violations(in history: [HistoryEntry<ExclusiveAction>]) -> [Violation] {
        let steps = chronology(of: history).map { index in
            let entry = history[index]
            return GrantStep(entry: index, time: entry.time, process: entry.process, event: entry.action.event)
        }
        var rules = Self.rules
        rules.deletionNoticedWithin = deletionNoticedWithin
        let ledger = GrantLedger(steps, rules: rules, countsRefusedActs: false)
        return
            (ledger.judged() + lateEffects(ledger) + lateAdmissions(history) + hastyBeginnings(history)
            + resumptions(history)).inOrder()
    }

    /// Events that entered during a hold although their place is younger: their gate has opened during the hold.
    private func resumptions(_ history: [HistoryEntry<ExclusiveAction>]) -> [Violation] {
        var held: (since: Int64, entry: Int)?
        var found: [Violation] = []
        for index in chronology(of: history) {
            let entry = history[index]
            switch entry.action {
            case .heldSince(let since): held = since.map { ($0, index) }
            case .eventEntered(_, let token):
                guard let held, held.since < token, knowsOfCrashes(entry.process) else { continue }
                found.append(
                    Violation(
                        rule: Self.hold, detail: "\(entry.process) \(entry.action) during a hold since \(held.since)",
                        entries: [held.entry, index]))
            default: break
            }
        }
        return found
    }

    /// What began too early after a window's crash.
    private func hastyBeginnings(_ history: [HistoryEntry<ExclusiveAction>]) -> [Violation] {
        var crashes: [(token: Int64, time: MonotonicInstant, entry: Int)] = []
        var found: [Violation] = []
        for index in chronology(of: history) {
            let entry = history[index]
            switch entry.action {
            case .windowCrashed(let token): crashes.append((token, entry.time, index))
            case .eventEntered(_, let token), .windowBegan(let token):
                guard knowsOfCrashes(entry.process) else { continue }
                // A place that is older than the window has never paused for it.
                for crash in crashes where crash.token < token && entry.time - crash.time < resumeDelay {
                    found.append(
                        Violation(
                            rule: Self.resumption,
                            detail: "\(entry.process) \(entry.action) \(entry.time - crash.time) after the end of the "
                                + "session with window \(crash.token)", entries: [crash.entry, index]))
                }
            default: break
            }
        }
        return found
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
        case .deleted(let token): .deleted(token: token)
        case .eventAsked, .eventGaveUp, .died, .windowWanted, .windowCrashed, .heldSince, .settled, .ending: .other
        }
    }
}
