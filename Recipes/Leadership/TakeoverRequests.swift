internal import ZooKeeper

/// Decides when a preferred participant asks for the leader's place: each leader at once, and again after growing pauses as
/// long as it goes on.
struct TakeoverRequests: Sendable {
    let priority: Int
    /// When to look again, if nothing happens before; `nil` for never.
    private(set) var nextLook: MonotonicInstant?
    private var asked: (leader: String, own: String)?
    private var backoff: Backoff

    init(priority: Int, backoff: Backoff) {
        self.priority = priority
        self.backoff = backoff
    }

    /// Whether to ask now; the answer `true` counts as a request.
    ///
    /// - Parameters:
    ///   - epoch: Who leads, as far as is known.
    ///   - own: The own candidate in the queue.
    mutating func isDue(to epoch: ElectionEpoch?, from own: String?, at now: MonotonicInstant) -> Bool {
        guard let epoch, epoch.priority < priority else {
            (asked, nextLook) = (nil, nil)
            return false
        }
        guard let own else {
            nextLook = now + .seconds(1)
            return false
        }
        if asked?.leader != epoch.candidate { backoff.reset() }
        if let asked, asked == (epoch.candidate, own), let nextLook, now < nextLook { return false }
        asked = (epoch.candidate, own)
        nextLook = now + backoff.pause()
        return true
    }
}
