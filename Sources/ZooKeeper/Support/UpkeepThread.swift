internal import DequeModule
internal import Glibc
internal import HeapModule
internal import Synchronization
internal import ZooKeeperBridge

/// The thread that runs the upkeep of all clients of the process, and the timers of the system's clock.
///
/// Heartbeats, deadlines and reconnects must not wait for a thread of the cooperative pool: operations that compute
/// without suspending can keep all of those busy for longer than a session timeout. Code on this thread must not block.
///
/// The thread starts with its first job or timer and exists until the process exits. It sleeps on a timer of
/// `CLOCK_BOOTTIME`, which includes the time while the machine is suspended.
package final class UpkeepThread: TaskExecutor {
    package static let shared = UpkeepThread()

    /// A call scheduled for an instant, until it is cancelled.
    package struct Timer: Sendable {
        fileprivate let entry: Entry
        fileprivate let thread: UpkeepThread

        /// Cancels the call and releases its closure; a call in progress continues.
        package func cancel() {
            thread.cancel(entry)
        }
    }

    fileprivate final class Entry: Sendable, Comparable {
        let instant: MonotonicInstant
        /// Orders calls that are due at the same instant.
        let number: Int
        fileprivate let call: Mutex<(@Sendable () -> Void)?>

        init(_ instant: MonotonicInstant, number: Int, _ call: @escaping @Sendable () -> Void) {
            self.instant = instant
            self.number = number
            self.call = Mutex(call)
        }

        /// Takes the call; `nil` if it was taken or cancelled before.
        func take() -> (@Sendable () -> Void)? {
            call.withLock { call in
                defer { call = nil }
                return call
            }
        }

        static func == (left: Entry, right: Entry) -> Bool { left === right }
        static func < (left: Entry, right: Entry) -> Bool {
            (left.instant, left.number) < (right.instant, right.number)
        }
    }

    private struct State {
        var jobs: Deque<UnownedJob> = []
        var timers = Heap<Entry>()
        var lastNumber = 0
        /// The number of cancelled entries in the heap.
        var cancelled = 0
        var isStarted = false
        var timer = BootTimer()
        /// The instant at which the timer wakes the thread; `nil` if it is not set.
        var wakeUp: MonotonicInstant?
    }

    private let state = Mutex(State())

    private init() {}

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { state in
            state.jobs.append(job)
            wake(&state, at: .distantPast)
        }
    }

    /// Calls a closure at an instant, on this thread; the closure must not block.
    package func schedule(at instant: MonotonicInstant, _ call: @escaping @Sendable () -> Void) -> Timer {
        state.withLock { state in
            state.lastNumber += 1
            let entry = Entry(instant, number: state.lastNumber, call)
            state.timers.insert(entry)
            wake(&state, at: instant)
            return Timer(entry: entry, thread: self)
        }
    }

    private func cancel(_ entry: Entry) {
        guard entry.take() != nil else { return }
        state.withLock { state in
            state.cancelled += 1
            // Cancelled entries are removed when they are half of the heap, so that a cancellation is cheap.
            guard state.cancelled > 64, state.cancelled > state.timers.count / 2 else { return }
            state.timers = Heap(state.timers.unordered.filter(\.isPending))
            state.cancelled = 0
        }
    }

    /// The number of scheduled calls, including cancelled ones that are not removed yet; for tests.
    package var timerCount: Int { state.withLock { $0.timers.count } }

    // MARK: The thread

    /// Sets the timer to an instant, unless it is set to an earlier one: a thread that is awake sets it before it sleeps.
    private func wake(_ state: inout State, at instant: MonotonicInstant) {
        guard state.wakeUp.map({ instant < $0 }) ?? true else { return }
        set(&state, instant)
        guard !state.isStarted else { return }
        state.isStarted = true
        var thread = pthread_t()
        let code = unsafe pthread_create(&thread, nil, { _ in unsafe UpkeepThread.shared.run() }, nil)
        precondition(code == 0, "the system has no thread left for the upkeep of the ZooKeeper clients")
        pthread_detach(thread)
    }

    private func set(_ state: inout State, _ instant: MonotonicInstant?) {
        state.wakeUp = instant
        state.timer.set(instant?.nanoseconds)
    }

    private func run() -> UnsafeMutableRawPointer? {
        beginThread(named: "zk-upkeep")
        while true {
            let (jobs, entries) = state.withLock { take(&$0, now: SystemMonotonicClock().now) }
            for job in jobs { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
            for entry in entries { entry.take()?() }
            if jobs.isEmpty, entries.isEmpty { state.withLock(\.timer).wait() }
        }
    }

    /// Takes the work that is due; if there is none, sets the timer to the next deadline.
    private func take(_ state: inout State, now: MonotonicInstant) -> (Deque<UnownedJob>, [Entry]) {
        var due: [Entry] = []
        while let next = state.timers.min, next.instant <= now || !next.isPending {
            state.timers.removeMin()
            if next.isPending { due.append(next) } else { state.cancelled = max(0, state.cancelled - 1) }
        }
        defer { state.jobs = [] }
        // Under the lock, so that a later deadline never replaces a wake-up.
        if state.jobs.isEmpty, due.isEmpty { set(&state, state.timers.min?.instant) }
        return (state.jobs, due)
    }
}

extension UpkeepThread.Entry {
    var isPending: Bool { call.withLock { $0 != nil } }
}
