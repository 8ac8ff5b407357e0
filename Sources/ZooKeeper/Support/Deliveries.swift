/// What is to be handed to followers, in order: by one thread at a time, which holds no lock meanwhile.
///
/// To yield to a stream takes a lock of the task that follows it. When that task is cancelled its `onTermination` is called
/// with this lock held. Whoever yields under a lock that `onTermination` takes as well waits for it, and it for him, for ever.
package struct Deliveries<Value: Sendable>: Sendable {
    package typealias Follower = AsyncStream<Value>.Continuation

    /// A value for those who followed when it was sent, or the end.
    package struct Delivery: Sendable {
        fileprivate let value: Value?
        fileprivate let followers: [Follower]

        fileprivate func perform() {
            for follower in followers {
                if let value { follower.yield(value) } else { follower.finish() }
            }
        }
    }

    private var waiting: [Delivery] = []
    private var isUnderWay = false

    package init() {}

    /// Puts a value, or the end, behind what is to be delivered.
    package mutating func add(_ value: Value?, for followers: [Follower]) {
        if !followers.isEmpty { waiting.append(Delivery(value: value, followers: followers)) }
    }

    /// Delivers what waits, unless another thread is about it, which does it then.
    ///
    /// - Parameter next: Calls ``next(isUnderWay:)`` under the owner's lock.
    package static func perform(_ next: (_ isUnderWay: Bool) -> Delivery?) {
        var isUnderWay = false
        while let delivery = next(isUnderWay) {
            delivery.perform()
            isUnderWay = true
        }
    }

    /// Takes what is to be delivered next.
    ///
    /// - Parameter isUnderWay: Whether the caller has delivered what it took before.
    package mutating func next(isUnderWay own: Bool) -> Delivery? {
        if isUnderWay, !own { return nil }
        isUnderWay = !waiting.isEmpty
        return isUnderWay ? waiting.removeFirst() : nil
    }
}
