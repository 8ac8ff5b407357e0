internal import ZooKeeper

/// Decides when a preferred participant asks the leader to hand over.
///
/// The participant asks each leader at once, and again after growing pauses while that leader continues.
struct TakeoverRequests: Sendable {
    let priority: Int
    /// The time of the next check if nothing happens before, or `nil` for none.
    private(set) var nextLook: MonotonicInstant?
    private var asked: (leader: String, own: String)?
    private var backoff: Backoff

    init(priority: Int, backoff: Backoff) {
        self.priority = priority
        self.backoff = backoff
    }

    /// Whether to ask the leader now; if the result is `true`, it counts as a request.
    ///
    /// - Parameters:
    ///   - epoch: The current leader, as last observed.
    ///   - own: This participant's candidate znode in the queue.
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
