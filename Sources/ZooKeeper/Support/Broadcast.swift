internal import Synchronization

/// A value that changes, and everybody who follows it.
///
/// A follower gets the current value first and then each change in order. Sending never blocks and runs nobody's code.
package final class Broadcast<Value: Sendable>: Sendable {
    private struct State {
        var current: Value
        var isFinished = false
        var nextFollower = 0
        var followers: [Int: AsyncStream<Value>.Continuation] = [:]
        var deliveries = Deliveries<Value>()

        mutating func send(_ value: Value) {
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
        state.withLock { state in
            if !state.isFinished { state.send(value) }
        }
        deliver()
    }

    /// Sends the last change there will be, and ends all sequences.
    package func finish(_ value: Value? = nil) {
        state.withLock { state in
            if let value, !state.isFinished { state.send(value) }
            state.isFinished = true
            state.deliveries.add(nil, for: state.followers.orderedValues)
            state.followers = [:]
        }
        deliver()
    }

    private func deliver() {
        Deliveries.perform { isUnderWay in state.withLock { $0.deliveries.next(isUnderWay: isUnderWay) } }
    }

    /// A new sequence of the current value and all changes.
    ///
    /// - Parameter policy: `.unbounded` loses nothing; `.bufferingNewest(1)` is for values of which only the latest matters.
    package func follow(_ policy: AsyncStream<Value>.Continuation.BufferingPolicy = .unbounded) -> AsyncStream<Value> {
        let (stream, continuation) = AsyncStream.makeStream(of: Value.self, bufferingPolicy: policy)
        let follower: Int? = state.withLock { state in
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
