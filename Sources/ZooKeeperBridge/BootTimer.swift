internal import CZooKeeper

/// A timer that one thread sleeps on; its clock includes the time while the machine is suspended.
///
/// If the process has no free file descriptor, the timer is created later; until then the thread polls every 10 ms.
package struct BootTimer: Sendable {
    private var descriptor: Int32 = -1

    package init() {}

    /// Sets the expiry of the timer to an instant of `CLOCK_BOOTTIME`, in nanoseconds; `nil` disables it.
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

/// Names the calling thread, and blocks the process's signals in it, so that other threads handle them.
package func beginThread(named name: String) {
    unsafe zkb_begin_thread(name)
}
