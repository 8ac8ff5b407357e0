internal import Synchronization

/// A value that changes, and everybody who follows it.
///
/// A follower gets the current value first and then each change in order. Sending never blocks and runs nobody's code.
package final class Broadcast<Value: Sendable>: Sendable {
    private struct State: Combining {
        var current: Value
        var isFinished = false
        var nextFollower = 0
        var followers: [Int: AsyncStream<Value>.Continuation] = [:]
        var deliveries = Deliveries<Value>()
        var isPerforming = false

        mutating func enqueue(_ value: Value) {
            guard !isFinished else { return }
            current = value
            deliveries.add(value, for: followers.orderedValues)
        }
    }

    private let state: Mutex<State>

    package init(_ initial: Value) {
        state = Mutex(State(current: initial))
    }

    deinit { finish() }

    /// The latest value.
    package var current: Value { state.withLock { $0.current } }

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
            state.deliveries.add(nil, for: state.followers.orderedValues)
            state.followers = [:]
        }
    }

    /// Delivers what was enqueued, in order; the caller must not hold a lock.
    ///
    /// When another thread is delivering at the same moment, that one delivers it.
    package func deliver() {
        state.combine {
            $0.deliveries.next()
        } perform: {
            $0.perform()
        }
    }

    /// A new sequence of the current value and all changes.
    ///
    /// - Parameter policy: `.unbounded` loses nothing; `.bufferingNewest(1)` is for values of which only the latest matters.
    package func follow(_ policy: AsyncStream<Value>.Continuation.BufferingPolicy = .unbounded) -> AsyncStream<Value> {
        let (stream, continuation) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: policy)
        let follower: Int? = state.withLock { state in
            // Nobody waits for this stream yet.
            continuation.yield(state.current)
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
