internal import ZooKeeper

/// The permission to process: one event, or a batch that takes no longer than the mode's event allowance.
///
/// It must be given back with ``leave()`` exactly once; a window waits for it. The closure forms of ``EventGate`` do that.
public struct EventPermit: Sendable {
    /// Grows from processor to window to processor: for the stores that the event writes to.
    public let fencingToken: FencingToken
    let gate: EventGate
    let stripe: Int

    @inline(__always)
    init(fencingToken: FencingToken, gate: EventGate, stripe: Int) {
        self.fencingToken = fencingToken
        self.gate = gate
        self.stripe = stripe
    }

    /// Whether no window can be open while the event goes on; from memory.
    ///
    /// Turns false, with no notice needed, before the ensemble can give this processor's place away.
    public var isValid: Bool { gate.isValid(fencingToken) }

    /// Gives the permission back.
    ///
    /// Calling it twice for one permit lets a window open too early; not calling it keeps windows shut.
    @inline(__always)
    public func leave() {
        gate.leave(stripe)
    }
}
