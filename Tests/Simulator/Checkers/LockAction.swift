internal import ZooKeeper

/// What a participant does with a lock.
package enum LockAction: Sendable, Hashable {
    package enum Kind: Sendable, Hashable { case read, write }

    /// The lock was granted and its body starts.
    case began(token: Int64, kind: Kind)
    /// A piece of work, what the lease said of itself at that instant, and whether a store took its token.
    ///
    /// `accepted` is `nil` when no store was asked.
    case acted(token: Int64, isValid: Bool, accepted: Bool? = nil)
    /// The write lock became a read lock.
    case downgraded(token: Int64)
    /// The body is over; nothing more is done under this grant.
    case ended(token: Int64)
    /// Somebody deleted the grant's znode; recorded at that instant, by whoever did it.
    case disturbed(token: Int64)
    /// That deletion was committed; recorded at that instant.
    case deleted(token: Int64)
    /// The process died, and all it held with it.
    case crashed
}

extension LockAction {
    /// What it means when readers share, or when all exclude all.
    func event(sharesReads: Bool) -> GrantStep.Event {
        switch self {
        case .began(let token, let kind): .began(.token(token), token: token, isShared: sharesReads && kind == .read)
        case .acted(let token, let isValid, let accepted): .acted(.token(token), isValid: isValid, accepted: accepted)
        case .downgraded(let token): sharesReads ? .downgraded(.token(token)) : .other
        case .ended(let token): .ended(.token(token))
        case .disturbed(let token): .disturbed(token: token)
        case .deleted(let token): .deleted(token: token)
        case .crashed: .stopped
        }
    }
}

extension [HistoryEntry<LockAction>] {
    func ledger(sharesReads: Bool, rules: GrantRules) -> GrantLedger {
        let steps = chronology(of: self).map { index in
            let entry = self[index]
            return GrantStep(
                entry: index, time: entry.time, process: entry.process,
                event: entry.action.event(sharesReads: sharesReads))
        }
        return GrantLedger(steps, rules: rules)
    }
}
