internal import DequeModule
internal import Synchronization

/// A value that changes, with its followers.
///
/// A follower receives the current value first, and then each change in order. Sending never blocks and never runs code
/// of a follower.
package final class Broadcast<Value: Sendable>: Sendable {
    private typealias Follower = AsyncStream<Value>.Continuation

    /// A value for the followers at the time when it was sent, or the end.
    private struct Delivery: Sendable {
        var value: Value?
        var followers: [Follower]
    }

    private struct State: Combining {
        /// The values that a new follower receives first.
        var recent: [Value]
        let kept: Int
        var isFinished = false
        var nextFollower = 0
        var followers: [Int: Follower] = [:]
        /// The pending deliveries, in order; one thread at a time performs them without holding a lock.
        ///
        /// Yielding to a stream takes a lock of the task that follows it. If that task is cancelled, its
        /// `onTermination` is called with this lock held. A thread that yields while holding a lock that
        /// `onTermination` also takes would therefore deadlock with it.
        var deliveries: Deque<Delivery> = []
        var isPerforming = false

        mutating func enqueue(_ value: Value) {
            guard !isFinished else { return }
            if recent.count == kept { recent.removeFirst() }
            recent.append(value)
            deliver(value)
        }

        /// Appends a value, or the end, to the pending deliveries.
        mutating func deliver(_ value: Value?) {
            guard !followers.isEmpty else { return }
            deliveries.append(Delivery(value: value, followers: followers.orderedValues))
        }
    }

    private let state: Mutex<State>

    package init(_ initial: Value) {
        state = Mutex(State(recent: [initial], kept: 1))
    }

    /// Creates a broadcast without a value; a follower first receives the newest earlier values, up to a count.
    package init(keeping count: Int) {
        state = Mutex(State(recent: [], kept: count))
    }

    deinit { finish() }

    /// The latest value; at least one must have been sent.
    package var current: Value { state.withLock { $0.recent[$0.recent.count - 1] } }

    /// Sends a change to all followers.
    ///
    /// If another thread is sending at the same time, that thread may deliver it.
    package func send(_ value: Value) {
        enqueue(value)
        deliver()
    }

    /// Sends the last change, if there is one, and ends all sequences.
    package func finish(_ value: Value? = nil) {
        enqueueEnd(value)
        deliver()
    }

    /// Makes a value the current one and appends it to the pending deliveries; ``deliver()`` delivers it.
    ///
    /// An owner that decides under its own lock enqueues under that lock, so that values are in the order of the
    /// decisions. It delivers after it has released the lock.
    ///
    /// Only the lock of this object is taken, and no code of a follower runs. Before the call of ``deliver()``, another
    /// thread may deliver the value.
    package func enqueue(_ value: Value) {
        state.withLock { $0.enqueue(value) }
    }

    /// Appends the last change, if there is one, and the end of all sequences to the pending deliveries.
    ///
    /// It is used in the same way as ``enqueue(_:)``.
    package func enqueueEnd(_ value: Value? = nil) {
        state.withLock { state in
            if let value { state.enqueue(value) }
            state.isFinished = true
            state.deliver(nil)
            state.followers = [:]
        }
    }

    /// Delivers the pending values in order; the caller must not hold a lock.
    ///
    /// If another thread is delivering at the same time, that thread delivers them.
    package func deliver() {
        state.combine {
            $0.deliveries.popFirst()
        } perform: { delivery in
            for follower in delivery.followers {
                if let value = delivery.value { follower.yield(value) } else { follower.finish() }
            }
        }
    }

    /// Returns a new sequence of the current value and all changes.
    ///
    /// - Parameter policy: `.unbounded` drops nothing; `.bufferingNewest(1)` is for values where only the latest
    ///   matters.
    package func follow(_ policy: AsyncStream<Value>.Continuation.BufferingPolicy = .unbounded) -> AsyncStream<Value> {
        let (stream, continuation) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: policy)
        let follower: Int? = state.withLock { state in
            // No task waits for this stream yet.
            for value in state.recent { continuation.yield(value) }
            guard !state.isFinished else { return nil }
            state.nextFollower += 1
            state.followers[state.nextFollower] = continuation
            return state.nextFollower
        }
        guard let follower else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.followers.removeValue(forKey: follower) }
        }
        return stream
    }
}
