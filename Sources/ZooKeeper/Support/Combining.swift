package import Synchronization

/// State in which one thread at a time performs what several threads have asked for.
///
/// The other threads leave their work in the state. So the order of the work is kept although no lock is held while it is
/// performed.
package protocol Combining {
    /// Whether a thread is performing; only ``Synchronization/Mutex/combine(next:perform:)`` changes it.
    var isPerforming: Bool { get set }
}

extension Mutex where Value: Combining {
    /// Performs all work that waits in the state, unless another thread is performing: that one does it then.
    ///
    /// A call from inside a performance returns at once. Its work follows when the performance is done.
    ///
    /// - Parameters:
    ///   - next: Takes the next piece of work, under the lock.
    ///   - perform: Performs it, without the lock.
    package func combine<Work: Sendable>(next: (inout Value) -> Work?, perform: (Work) -> Void) {
        var isMine = false
        while let work = withLock({ state -> Work? in
            if state.isPerforming, !isMine { return nil }
            let work = next(&state)
            state.isPerforming = work != nil
            return work
        }) {
            isMine = true
            perform(work)
        }
    }
}
