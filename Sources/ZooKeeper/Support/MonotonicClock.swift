internal import Glibc

/// A point in time on a clock that never goes back and that counts the time a machine or a process was suspended.
///
/// All deadlines inside the package are kept as these: a single word that fits an atomic and compares in one instruction.
package struct MonotonicInstant: Sendable, Hashable, Comparable {
    /// Nanoseconds since an origin that stays the same for the life of the process.
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// Before every other instant, and still far enough from the smallest number to reckon with.
    package static let distantPast = MonotonicInstant(nanoseconds: .min / 4)

    package static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    /// The instant a duration later; the last or first there is, where the sum is beyond them.
    package static func + (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: instant.nanoseconds.saturatingAdd(duration.nanoseconds))
    }

    package static func - (instant: MonotonicInstant, duration: Duration) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: instant.nanoseconds.saturatingSubtract(duration.nanoseconds))
    }

    /// The time from one instant to another; about 292 years at most, so that ``distantPast`` takes part.
    package static func - (left: MonotonicInstant, right: MonotonicInstant) -> Duration {
        .nanoseconds(left.nanoseconds.saturatingSubtract(right.nanoseconds))
    }
}

/// The time that is handed in: the system's, or a test's.
package protocol MonotonicClock: Sendable {
    var now: MonotonicInstant { get }
    /// Waits; throws `CancellationError` when the task is cancelled.
    func sleep(until deadline: MonotonicInstant) async throws
    /// The executor for tasks that must run in time, however busy the cooperative pool is; `nil` if there is none.
    var upkeepExecutor: (any TaskExecutor)? { get }
}

extension MonotonicClock {
    package var upkeepExecutor: (any TaskExecutor)? { nil }
}

extension MonotonicClock {
    /// An instant in the form that the public interface uses.
    ///
    /// The same instant always gives the same value, never a later one than meant.
    package func continuousInstant(_ instant: MonotonicInstant) -> ContinuousClock.Instant {
        SystemMonotonicClock.origin.instant.advanced(by: instant - SystemMonotonicClock.origin.monotonic)
    }
}

/// `CLOCK_BOOTTIME`, the clock that `ContinuousClock` reads on Linux.
package struct SystemMonotonicClock: MonotonicClock {
    /// One moment on both clocks; the monotonic reading is the later one.
    static let origin = (instant: ContinuousClock.now, monotonic: SystemMonotonicClock().now)

    package init() {}

    package var now: MonotonicInstant {
        var time = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return MonotonicInstant(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
    }

    package var upkeepExecutor: (any TaskExecutor)? { UpkeepThread.shared }

    /// Waits on the process's own timer thread.
    ///
    /// A sleep that is cancelled leaves nothing behind; one of `ContinuousClock`
    /// would stay in memory until its deadline.
    package func sleep(until deadline: MonotonicInstant) async throws {
        try Task.checkCancellation()
        guard now < deadline else { return }
        let end = OneShot<Void>()
        let timer = UpkeepThread.shared.schedule(at: deadline) { end.set(()) }
        defer { timer.cancel() }
        try await end.wait()
    }
}
