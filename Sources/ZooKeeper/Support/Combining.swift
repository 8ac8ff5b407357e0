package import Synchronization

/// State in which one thread at a time performs the work that several threads have requested.
///
/// The other threads leave their work in the state. This keeps the order of the work although no lock is held while it
/// is performed.
package protocol Combining {
    /// Whether a thread is performing work; only ``Synchronization/Mutex/combine(next:perform:)`` changes it.
    var isPerforming: Bool { get set }
}

extension Mutex where Value: Combining {
    /// Performs all work that waits in the state, unless another thread is performing, which then performs it.
    ///
    /// If it is called while work is performed on the same thread, it returns immediately, and the work is performed
    /// next.
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
