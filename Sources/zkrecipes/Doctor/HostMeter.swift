import Glibc
import Synchronization
import SystemSupport

/// Measures the stalls of this host and the steps of its clock, on a thread that does nothing else.
final class HostMeter: Sendable {
    private struct State {
        var measured = HostMeasurements()
        var isStopped = false
    }

    private let state = Mutex(State())

    /// Starts the measurement, which runs until ``stop()``.
    init() {
        detachThread(stackSize: 128 * 1024) { self.run() }
    }

    /// Ends the measurement and returns its result.
    func stop() -> HostMeasurements {
        state.withLock { state in
            state.isStopped = true
            return state.measured
        }
    }

    private func run() {
        var evaluation = HostEvaluation()
        var request = timespec(tv_sec: 0, tv_nsec: 1_000_000)
        while true {
            let began = Self.now(CLOCK_BOOTTIME)
            nanosleep(&request, nil)
            let (wall, ended) = (Self.now(CLOCK_REALTIME), Self.now(CLOCK_BOOTTIME))
            evaluation.record(
                slept: .nanoseconds(ended - began), wall: wall, monotonic: ended,
                clocksRead: .nanoseconds(Self.now(CLOCK_BOOTTIME) - ended))
            let isStopped = state.withLock { state in
                if !state.isStopped { state.measured = evaluation.measured }
                return state.isStopped
            }
            if isStopped { return }
        }
    }

    private static func now(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Evaluates the readings of a ``HostMeter``, without side effects.
struct HostEvaluation: Sendable {
    private(set) var measured = HostMeasurements()
    /// The difference between the wall clock and the monotonic clock, in nanoseconds.
    private var offset: Int64?

    /// The lateness that counts as a stall.
    static let stall = Duration.milliseconds(50)
    /// The change of the difference between two readings that counts as a step; a slewed clock changes much less.
    static let step = Duration.milliseconds(20)

    /// Records one sleep of 1 ms.
    ///
    /// - Parameters:
    ///   - slept: The duration of the sleep.
    ///   - wall: The wall clock after the sleep, in nanoseconds.
    ///   - monotonic: The monotonic clock directly afterwards, in nanoseconds.
    ///   - clocksRead: The time that reading the clock took; if it is long, the readings do not belong together.
    mutating func record(slept: Duration, wall: Int64, monotonic: Int64, clocksRead: Duration) {
        let late = slept - .milliseconds(1)
        measured.longestStall = max(measured.longestStall, late)
        if late > Self.stall { measured.stalls += 1 }
        guard clocksRead < .milliseconds(1) else { return }
        let current = wall - monotonic
        defer { offset = current }
        guard let offset else { return }
        let change = Duration.nanoseconds(current - offset)
        if change.magnitude > Self.step { measured.clockSteps.append(change) }
    }
}
