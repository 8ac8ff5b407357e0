internal import Synchronization
package import ZooKeeper

/// One thing that a participant did, and when.
package struct HistoryEntry<Action: Sendable>: Sendable {
    /// The true time: one clock for all participants, whatever their own clocks said.
    package var time: MonotonicInstant
    /// The participant; one life of a process, so that a restarted one has another name.
    package var process: String
    package var action: Action

    package init(time: MonotonicInstant, process: String, action: Action) {
        self.time = time
        self.process = process
        self.action = action
    }
}

/// What all participants of a run did, in the order in which it was recorded.
///
/// A history holds deeds, not opinions: an act is recorded at the instant of the work, together with what the grant said
/// of its validity at that instant. Recording takes a lock for one append.
package final class History<Action: Sendable>: Sendable {
    private let stored = Mutex<[HistoryEntry<Action>]>([])

    package init() {}

    /// What was recorded so far.
    package var entries: [HistoryEntry<Action>] { stored.withLock { $0 } }

    package func record(_ action: Action, by process: String, at time: MonotonicInstant) {
        stored.withLock { $0.append(HistoryEntry(time: time, process: process, action: action)) }
    }
}
