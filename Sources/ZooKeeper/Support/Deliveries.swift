internal import DequeModule

/// What is to be handed to followers, in order: by one thread at a time, which holds no lock meanwhile.
///
/// To yield to a stream takes a lock of the task that follows it. When that task is cancelled its `onTermination` is called
/// with this lock held. Whoever yields under a lock that `onTermination` takes as well waits for it, and it for him, for ever.
/// The owner therefore adds under its lock, and delivers with ``Synchronization/Mutex/combine(next:perform:)``.
package struct Deliveries<Value: Sendable>: Sendable {
    package typealias Follower = AsyncStream<Value>.Continuation

    /// A value for those who followed when it was sent, or the end.
    package struct Delivery: Sendable {
        fileprivate let value: Value?
        fileprivate let followers: [Follower]

        package func perform() {
            for follower in followers {
                if let value { follower.yield(value) } else { follower.finish() }
            }
        }
    }

    private var waiting: Deque<Delivery> = []

    package init() {}

    /// Puts a value, or the end, behind what is to be delivered.
    package mutating func add(_ value: Value?, for followers: [Follower]) {
        if !followers.isEmpty { waiting.append(Delivery(value: value, followers: followers)) }
    }

    /// Takes what is to be delivered next.
    package mutating func next() -> Delivery? { waiting.popFirst() }
}
