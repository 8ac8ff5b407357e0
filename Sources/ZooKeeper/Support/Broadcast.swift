internal import DequeModule
internal import Synchronization

/// A value that changes, and everybody who follows it.
///
/// A follower gets the current value first and then each change in order. Sending never blocks and runs nobody's code.
package final class Broadcast<Value: Sendable>: Sendable {
    private typealias Follower = AsyncStream<Value>.Continuation

    /// A value for those who followed when it was sent, or the end.
    private struct Delivery: Sendable {
        var value: Value?
        var followers: [Follower]
    }

    private struct State: Combining {
        /// What a new follower gets first.
        var recent: [Value]
        let kept: Int
        var isFinished = false
        var nextFollower = 0
        var followers: [Int: Follower] = [:]
        /// What is to be delivered, in order: by one thread at a time, which holds no lock meanwhile.
        ///
        /// To yield to a stream takes a lock of the task that follows it. When that task is cancelled its `onTermination` is
        /// called with this lock held. Whoever yields under a lock that `onTermination` takes as well waits for it, and it
        /// for him, for ever.
        var deliveries: Deque<Delivery> = []
        var isPerforming = false

        mutating func enqueue(_ value: Value) {
            guard !isFinished else { return }
            if recent.count == kept { recent.removeFirst() }
            recent.append(value)
            deliver(value)
        }

        /// Puts a value, or the end, behind what is to be delivered.
        mutating func deliver(_ value: Value?) {
            guard !followers.isEmpty else { return }
            deliveries.append(Delivery(value: value, followers: followers.orderedValues))
        }
    }

    private let state: Mutex<State>

    package init(_ initial: Value) {
        state = Mutex(State(recent: [initial], kept: 1))
    }

    /// Begins without a value; a follower gets the newest ones of before first, not one alone.
    package init(keeping count: Int) {
        state = Mutex(State(recent: [], kept: count))
    }

    deinit { finish() }

    /// The latest value; there must have been one.
    package var current: Value { state.withLock { $0.recent[$0.recent.count - 1] } }

    /// Sends a change to all followers.
    ///
    /// When another thread is sending at the same moment, that one may deliver it.
    package func send(_ value: Value) {
        enqueue(value)
        deliver()
    }

    /// Sends the last change there will be, and ends all sequences.
    package func finish(_ value: Value? = nil) {
        enqueueEnd(value)
        deliver()
    }

    /// Makes a value the current one and puts it behind what is to be delivered; ``deliver()`` delivers it.
    ///
    /// An owner that decides under a lock of its own enqueues under that lock, so that values are in the order of the
    /// decisions. It delivers when it has left the lock.
    ///
    /// Only this object's own lock is taken, and nobody's code runs. Until the delivery another thread may deliver the value.
    package func enqueue(_ value: Value) {
        state.withLock { $0.enqueue(value) }
    }

    /// Puts the last change there will be, and the end of all sequences, behind what is to be delivered.
    ///
    /// ``enqueue(_:)`` says when to use it.
    package func enqueueEnd(_ value: Value? = nil) {
        state.withLock { state in
            if let value { state.enqueue(value) }
            state.isFinished = true
            state.deliver(nil)
            state.followers = [:]
        }
    }

    /// Delivers what was enqueued, in order; the caller must not hold a lock.
    ///
    /// When another thread is delivering at the same moment, that one delivers it.
    package func deliver() {
        state.combine {
            $0.deliveries.popFirst()
        } perform: { delivery in
            for follower in delivery.followers {
                if let value = delivery.value { follower.yield(value) } else { follower.finish() }
            }
        }
    }

    /// A new sequence of the current value and all changes.
    ///
    /// - Parameter policy: `.unbounded` loses nothing; `.bufferingNewest(1)` is for values of which only the latest matters.
    package func follow(_ policy: AsyncStream<Value>.Continuation.BufferingPolicy = .unbounded) -> AsyncStream<Value> {
        let (stream, continuation) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: policy)
        let follower: Int? = state.withLock { state in
            // Nobody waits for this stream yet.
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
