internal import ZooKeeper

/// A grant's name within its process.
enum GrantID: Hashable, CustomStringConvertible {
    case token(Int64)
    case event(Int)

    var description: String {
        switch self {
        case .token(let token): "token \(token)"
        case .event(let id): "event \(id)"
        }
    }
}

/// What one entry of a history means for grants of any kind: a lock, a term, an event's permit, a window.
struct GrantStep {
    enum Event {
        case began(GrantID, token: Int64, isShared: Bool)
        case acted(GrantID, isValid: Bool, accepted: Bool?)
        /// From here on the grant excludes only grants that exclude everybody.
        case downgraded(GrantID)
        case ended(GrantID)
        /// Somebody deleted the znode under the grants with this token.
        case disturbed(token: Int64)
        /// That was committed.
        case deleted(token: Int64)
        /// The process stopped, and with it all that it held.
        case stopped
        /// Nothing that concerns grants.
        case other
    }

    /// The entry's index in the history.
    var entry: Int
    var time: MonotonicInstant
    var process: String
    var event: Event
}

/// A stretch of a grant: from its first to its last valid act of one kind.
struct GrantSpan {
    /// Positions in the list of steps.
    var first: Int
    var last: Int
    /// The grant's index.
    var grant: Int
    var isShared: Bool
}

/// One grant as its steps show it.
struct Grant {
    var process: String
    var id: GrantID
    var token: Int64
    var isShared: Bool
    /// How many shares of it are open; 0 once it has ended.
    var shares = 1
    /// Where its znode was deleted; where it began, if that came before.
    var disturbed: Int?
    /// Where it began.
    var began: Int
    /// Where it was made a shared one.
    var downgraded: Int?
    /// Where it ended, by itself or with its process.
    var closed: Int?
    /// Its last act that was valid, even after a disturbance.
    var lastValid: Int?
    var exclusiveSpan: GrantSpan?
    var sharedSpan: GrantSpan?
}

/// The sentences that a checker uses for its promises about grants.
///
/// A checker does not use all of them: without shared grants nothing can break ``sharedOverlap``.
package struct GrantRules: Sendable {
    /// Two grants, each of which excludes everybody, were valid together.
    package var overlap = "Two grants are not valid at once"
    /// A shared grant was valid together with one that excludes it.
    package var sharedOverlap = "A shared grant is not valid together with an exclusive one"
    /// A later grant has a lower token.
    package var growth = "Tokens grow from grant to grant"
    /// Two grants, or two processes, used one token.
    package var oneGrant = "A token belongs to one grant"
    /// A store refused an act at which the grant called itself valid.
    package var refusal = "A valid act is not refused by the store"
    /// The store accepted a token from before one that it had accepted.
    package var fencing = "What the store accepts has growing tokens"
    /// An act said to be valid came after its grant had ended.
    package var afterEnd = "Nothing is valid after its grant has ended"
    /// An act under a grant that its process never began.
    package var beginning = "An act belongs to a grant that its process began"
    /// A grant was valid long after somebody had deleted its znode.
    package var deletion = "Who holds by a znode notices its deletion"
    /// Within what time it must be noticed; `nil` does not judge that.
    package var deletionNoticedWithin: Duration?
}
