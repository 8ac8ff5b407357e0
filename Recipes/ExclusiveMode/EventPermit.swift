internal import ZooKeeper

/// A permit to process one event, or a batch that takes no longer than the mode's event allowance.
///
/// The permit must be released with ``leave()`` exactly once, because a window waits for it. The closure forms of
/// ``EventGate`` release it themselves.
public struct EventPermit: Sendable {
    /// The fencing token to pass to the stores that the event writes to.
    ///
    /// It increases from processors to a window to the processors after it.
    public let fencingToken: FencingToken
    let gate: EventGate
    let stripe: Int

    @inline(__always)
    init(fencingToken: FencingToken, gate: EventGate, stripe: Int) {
        self.fencingToken = fencingToken
        self.gate = gate
        self.stripe = stripe
    }

    /// Whether it is certain that no window is open while the event is processed.
    ///
    /// The value is read from memory. It turns false, even without a notification, before the ensemble can evict this
    /// processor.
    ///
    /// - Complexity: Sends no requests.
    public var isValid: Bool { gate.isValid(fencingToken) }

    /// Releases the permit.
    ///
    /// If a permit is released twice, a window may open too early. If it is never released, no window opens.
    @inline(__always)
    public func leave() {
        gate.leave(stripe)
    }
}
