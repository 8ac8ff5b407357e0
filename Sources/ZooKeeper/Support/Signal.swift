internal import Synchronization

/// Something that happens once, and those who wait for it.
///
/// The first value counts. Waiting ends at once when the waiting task is cancelled. Observers run on the thread that
/// sets the value: they must not block and must not run anybody's code.
package final class OneShot<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var nextID = 0
        var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
        var observers: [@Sendable (Value) -> Void] = []
    }

    private let state = Mutex(State())

    package init() {}

    /// The value, when it has happened.
    package var value: Value? { state.withLock { $0.value } }

    /// Makes it happen; says whether this was the first time.
    @discardableResult
    package func set(_ value: Value) -> Bool {
        let first = state.withLock { state -> ([CheckedContinuation<Value?, Never>], [@Sendable (Value) -> Void])? in
            guard state.value == nil else { return nil }
            state.value = value
            defer { (state.waiters, state.observers) = ([:], []) }
            return (Array(state.waiters.values), state.observers)
        }
        guard let (waiters, observers) = first else { return false }
        for observer in observers { observer(value) }
        for waiter in waiters { waiter.resume(returning: value) }
        return true
    }

    /// Calls a closure when it happens, or at once when it has.
    package func observe(_ observer: @escaping @Sendable (Value) -> Void) {
        let value = state.withLock { state -> Value? in
            if state.value == nil { state.observers.append(observer) }
            return state.value
        }
        if let value { observer(value) }
    }

    /// Waits for the value.
    ///
    /// - Throws: `CancellationError` when the task is cancelled first.
    package func wait() async throws -> Value {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let value: Value? = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let immediate: Value?? = state.withLock { state in
                    if let value = state.value { return .some(value) }
                    if Task.isCancelled { return .some(nil) }
                    state.waiters[id] = continuation
                    return nil
                }
                if let immediate { continuation.resume(returning: immediate) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
            waiter?.resume(returning: nil)
        }
        guard let value else { throw CancellationError() }
        return value
    }
}

/// Wakes one loop whenever there may be something to do for it; several signals before it looks count as one.
package final class WakeUp: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    package init() {
        (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    package func signal() {
        continuation.yield()
    }

    /// Waits for a signal, at most until a deadline.
    ///
    /// Returns early and without a signal when the task is cancelled. One loop may wait at a time.
    package func wait(until deadline: MonotonicInstant?, clock: some MonotonicClock) async {
        guard let deadline else {
            await next()
            return
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.next() }
            group.addTask { try? await clock.sleep(until: deadline) }
            await group.next()
            group.cancelAll()
        }
    }

    private func next() async {
        var iterator = stream.makeAsyncIterator()
        _ = await iterator.next()
    }
}
