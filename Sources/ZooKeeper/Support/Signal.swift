internal import Glibc
internal import ServiceLifecycle
internal import Synchronization

/// A signal that fires once, with its waiters and observers.
///
/// The first value counts. If the waiting task is cancelled, its wait ends immediately. Observers run on the thread
/// that sets the value. They must not block and must not run code of users.
package final class OneShot<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var nextID = 0
        var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
        var observers: [(id: Int, call: @Sendable (Value) -> Void)] = []
    }

    /// An observing closure, until it is removed.
    package struct Observation: Sendable {
        fileprivate let id: Int
        fileprivate let source: OneShot

        /// Removes the closure, unless it is being called.
        package func cancel() {
            // Released outside of the lock, because releasing the closure may release what it captures.
            let dropped = source.state.withLock { state in
                let index = state.observers.firstIndex { $0.id == id }
                return index.map { state.observers.remove(at: $0) }
            }
            _ = dropped
        }
    }

    private let state = Mutex(State())

    package init() {}

    /// The value; `nil` before the signal has fired.
    package var value: Value? { state.withLock { $0.value } }

    /// Fires the signal; returns whether this was the first time.
    @discardableResult
    package func set(_ value: Value) -> Bool {
        let first = state.withLock { state -> ([CheckedContinuation<Value?, Never>], [@Sendable (Value) -> Void])? in
            guard state.value == nil else { return nil }
            state.value = value
            defer { (state.waiters, state.observers) = ([:], []) }
            // A key path of a generic type would be created anew for each call.
            return (state.waiters.orderedValues, state.observers.map { $0.call })
        }
        guard let (waiters, observers) = first else { return false }
        for observer in observers { observer(value) }
        for waiter in waiters { waiter.resume(returning: value) }
        return true
    }

    /// Calls a closure when the signal fires, or immediately if it has fired.
    ///
    /// The closure is kept until then, or until it is removed. An observer of a signal that outlives it must remove its
    /// closure.
    @discardableResult
    package func observe(_ observer: @escaping @Sendable (Value) -> Void) -> Observation {
        let (id, value) = state.withLock { state -> (Int, Value?) in
            state.nextID += 1
            if state.value == nil { state.observers.append((state.nextID, observer)) }
            return (state.nextID, state.value)
        }
        if let value { observer(value) }
        return Observation(id: id, source: self)
    }

    /// Removes all observing closures; waiting tasks continue to wait.
    package func dropObservers() {
        // Released outside of the lock, because releasing the closure may release what it captures.
        let dropped = state.withLock { state in
            defer { state.observers = [] }
            return state.observers
        }
        _ = dropped
    }

    /// Waits for the value.
    ///
    /// - Returns: The value.
    /// - Throws: `CancellationError` if the task is cancelled first.
    package func wait() async throws -> Value {
        let id = nextID()
        let value = await withTaskCancellationHandler {
            await outcome(of: id) { Task.isCancelled }
        } onCancel: {
            giveUp(id)
        }
        guard let value else { throw CancellationError() }
        return value
    }

    /// Waits for the value, unless a graceful shutdown of the surrounding service group comes first.
    ///
    /// - Returns: The value.
    /// - Throws: `CancellationError` if the task is cancelled or the shutdown is triggered first.
    package func waitUntilShutdown() async throws -> Value {
        let id = nextID()
        let value = await withTaskCancellationOrGracefulShutdownHandler {
            await outcome(of: id) { Task.isCancelled || Task.isShuttingDownGracefully }
        } onCancelOrGracefulShutdown: {
            self.giveUp(id)
        }
        guard let value else { throw CancellationError() }
        return value
    }

    /// Blocks the calling thread until the value is set or a deadline of the system's clock has passed.
    ///
    /// For threads outside of the cooperative pool, which other tasks need.
    ///
    /// - Returns: `nil` if the deadline passed first.
    package func waitBlocking(until deadline: MonotonicInstant?) -> Value? {
        let semaphore = Semaphore()
        let observation = observe { _ in semaphore.signal() }
        defer { observation.cancel() }
        let timer = deadline.map { UpkeepThread.shared.schedule(at: $0) { semaphore.signal() } }
        defer { timer?.cancel() }
        semaphore.wait()
        return value
    }

    private func nextID() -> Int {
        state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    private func outcome(of id: Int, unless isOver: @Sendable () -> Bool) async -> Value? {
        await withCheckedContinuation { continuation in
            let immediate: Value?? = state.withLock { state in
                if let value = state.value { return .some(value) }
                if isOver() { return .some(nil) }
                state.waiters[id] = continuation
                return nil
            }
            if let immediate { continuation.resume(returning: immediate) }
        }
    }

    private func giveUp(_ id: Int) {
        let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
        waiter?.resume(returning: nil)
    }
}

/// A semaphore of the system for one waiting thread.
///
/// It exists until the last closure that may signal it has been released.
@safe private final class Semaphore: Sendable {
    // Never replaced, and freed in deinit; the system allows all threads to use it at once.
    private nonisolated(unsafe) let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { unsafe sem_init(semaphore, 0, 0) }

    func signal() { unsafe sem_post(semaphore) }

    func wait() {
        // A signal handler may interrupt it.
        while unsafe sem_wait(semaphore) != 0 {}
    }

    deinit {
        unsafe sem_destroy(semaphore)
        unsafe semaphore.deallocate()
    }
}

/// Wakes one loop when there may be work for it; several signals before the loop checks count as one.
///
/// A signal while no task waits is kept for the next wait.
package final class WakeUp: Sendable {
    private struct State {
        var isSignalled = false
        var nextID = 0
        /// The last wait that was cancelled or whose deadline has passed.
        var lastEnded = 0
        var waiter: (id: Int, continuation: CheckedContinuation<Void, Never>)?
    }

    private let state = Mutex(State())

    package init() {}

    package func signal() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            state.isSignalled = state.waiter == nil
            return state.waiter
        }
        waiter?.continuation.resume()
    }

    /// Waits for a signal, at most until a deadline.
    ///
    /// If the task is cancelled, it returns early and without a signal. Only one loop may wait at a time: a second one
    /// wakes the first.
    package func wait(until deadline: MonotonicInstant?, clock: some MonotonicClock) async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let timer = deadline.map { clock.schedule(at: $0) { self.endWait(id) } }
        defer { timer?.cancel() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (mayGoOn, earlier) = register(continuation, id: id)
                earlier?.resume()
                if mayGoOn { continuation.resume() }
            }
        } onCancel: {
            endWait(id)
        }
    }

    /// Ends a wait without a signal, so that the next wait is not affected.
    private func endWait(_ id: Int) {
        let waiter = state.withLock { state in
            state.lastEnded = max(state.lastEnded, id)
            guard state.waiter?.id == id else { return CheckedContinuation<Void, Never>?.none }
            defer { state.waiter = nil }
            return state.waiter?.continuation
        }
        waiter?.resume()
    }

    private func register(
        _ continuation: CheckedContinuation<Void, Never>,
        id: Int
    ) -> (mayGoOn: Bool, earlier: CheckedContinuation<Void, Never>?) {
        state.withLock { state in
            if state.isSignalled {
                state.isSignalled = false
                return (true, nil)
            }
            if state.lastEnded >= id { return (true, nil) }
            defer { state.waiter = (id, continuation) }
            return (false, state.waiter?.continuation)
        }
    }
}
