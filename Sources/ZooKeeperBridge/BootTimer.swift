internal import CZooKeeper

/// A timer on the clock that counts the time in which the machine is suspended, for one thread to sleep on.
///
/// A process that has no file descriptor left gets the timer later; until then the thread looks every 10 ms.
package struct BootTimer: Sendable {
    private var descriptor: Int32 = -1

    package init() {}

    /// Lets the timer expire at an instant of `CLOCK_BOOTTIME`, in nanoseconds; `nil` switches it off.
    package mutating func set(_ nanoseconds: Int64?) {
        if descriptor < 0 { descriptor = zkb_timer_create() }
        zkb_timer_set(descriptor, nanoseconds.map { max(1, $0) } ?? 0)
    }

    /// Waits until the timer has expired; may return early.
    package func wait() {
        guard descriptor >= 0 else {
            usleep(10_000)
            return
        }
        zkb_timer_wait(descriptor)
    }
}

/// Gives the calling thread a name, and leaves the signals of the process to other threads.
package func beginThread(named name: String) {
    unsafe zkb_begin_thread(name)
}
