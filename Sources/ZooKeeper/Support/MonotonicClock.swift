internal import Glibc

/// A point in time on a clock that never goes back and that includes the time while a machine or a process was
/// suspended.
///
/// All deadlines inside the package have this type: a single word that fits into an atomic and is compared in one
/// instruction.
package struct MonotonicInstant: Sendable, Hashable, Comparable {
    /// The nanoseconds since an origin that is constant for the lifetime of the process.
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// An instant before all others, still far enough from the smallest number to calculate with.
    package static let distantPast = MonotonicInstant(nanoseconds: .min / 4)

    package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// Returns the instant a duration later, or the last or first instant if the sum overflows.
    package static func + (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: instant.nanoseconds.saturatingAdd(duration.nanoseconds))
    }

    package static func - (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: instant.nanoseconds.saturatingSubtract(duration.nanoseconds))
    }

    /// Returns the time from one instant to another; at most about 292 years, so that ``distantPast`` can be an
    /// operand.
    package static func - (left: MonotonicInstant, right: MonotonicInstant) -> Duration {
        .nanoseconds(left.nanoseconds.saturatingSubtract(right.nanoseconds))
    }
}

/// A clock that is passed in: the system's, or a test's.
package protocol MonotonicClock: Sendable {
    var now: MonotonicInstant { get }
    /// Waits until a deadline; throws `CancellationError` if the task is cancelled.
    func sleep(until deadline: MonotonicInstant) async throws
    /// Calls a closure at an instant, unless the returned call is cancelled before; the closure must not block.
    func schedule(at instant: MonotonicInstant, _ call: @escaping @Sendable () -> Void) -> ScheduledCall
    /// The executor for tasks that must run in time even if the cooperative pool is busy; `nil` if there is none.
    var upkeepExecutor: (any TaskExecutor)? { get }
}

/// A call that a clock makes at an instant, until it is cancelled.
package struct ScheduledCall: Sendable {
    private let end: @Sendable () -> Void

    package init(cancel: @escaping @Sendable () -> Void) {
        end = cancel
    }

    package func cancel() { end() }
}

extension MonotonicClock {
    package var upkeepExecutor: (any TaskExecutor)? { nil }

    package func schedule(at instant: MonotonicInstant, _ call: @escaping @Sendable () -> Void) -> ScheduledCall {
        let task = Task {
            try await sleep(until: instant)
            call()
        }
        return ScheduledCall { task.cancel() }
    }
}

extension MonotonicClock {
    /// Converts an instant into the type of the public interface.
    ///
    /// The same instant always gives the same value, and never a later one than the instant.
    package func continuousInstant(_ instant: MonotonicInstant) -> ContinuousClock.Instant {
        SystemMonotonicClock.origin.instant.advanced(by: instant - SystemMonotonicClock.origin.monotonic)
    }
}

/// The system's clock: `CLOCK_BOOTTIME`, which `ContinuousClock` reads on Linux.
package struct SystemMonotonicClock: MonotonicClock {
    /// The same moment on both clocks; the monotonic reading is the later one.
    static let origin = (instant: ContinuousClock.now, monotonic: SystemMonotonicClock().now)

    package init() {}

    package var now: MonotonicInstant {
        var time = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }

    package var upkeepExecutor: (any TaskExecutor)? { UpkeepThread.shared }

    /// Calls the closure on the timer thread of the process, without a task.
    package func schedule(at instant: MonotonicInstant, _ call: @escaping @Sendable () -> Void) -> ScheduledCall {
        let timer = UpkeepThread.shared.schedule(at: instant, call)
        return ScheduledCall { timer.cancel() }
    }

    /// Waits on the timer thread of the process.
    ///
    /// A cancelled sleep releases its task immediately; one of `ContinuousClock` would keep it until its deadline.
    package func sleep(until deadline: MonotonicInstant) async throws {
        try Task.checkCancellation()
        guard now < deadline else { return }
        let end = OneShot<Void>()
        let timer = UpkeepThread.shared.schedule(at: deadline) { end.set(()) }
        defer { timer.cancel() }
        try await end.wait()
    }
}
