import Glibc
import Synchronization

/// Lines to whoever drives this process.
enum Output {
    private static let lock = Mutex(())

    static func say(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        lock.withLock { _ in
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                // Nobody listens any more.
                guard count > 0 else { exit(1) }
                rest = rest.dropFirst(count)
            }
        }
    }

    /// Tells what was done at this instant, by the clock that the other makers' runtimes read too.
    static func tell(_ who: String, _ deed: String) {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        say("~ \(Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)) \(who) \(deed)")
    }
}
