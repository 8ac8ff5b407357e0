internal import Glibc

/// A wall-clock time, in whole milliseconds.
///
/// The ensemble stamps znodes with such times: see ``ZNodeStat/ctime`` and ``ZNodeStat/mtime``. Wall clocks of different
/// hosts differ, and a wall clock may be set back. To order changes, compare their transactions (``ZXID``) instead.
///
/// ```swift
/// if let stat = try await client.exists(at: "/app/report") {
///     print("written \(Timestamp.now - stat.mtime) ago, at \(stat.mtime)")
/// }
/// ```
///
/// The text form is ISO 8601 in UTC with milliseconds: `2026-03-08T07:00:00.250Z`. Years before 0 and after 9999 have a
/// sign, as in `java.time.Instant`: `+12026-01-01T00:00:00.000Z`. Texts of the years 0 to 9999 sort in chronological
/// order.
///
/// Arithmetic does not overflow: a result that cannot be represented is the nearest timestamp, 292 million years from
/// now or ago.
public struct Timestamp: Sendable, Hashable, Comparable {
    /// The number of milliseconds since 1970-01-01T00:00:00Z; negative before that.
    public var millisecondsSince1970: Int64

    /// Creates a timestamp.
    ///
    /// - Parameter millisecondsSince1970: The number of milliseconds since 1970-01-01T00:00:00Z; negative before that.
    public init(millisecondsSince1970: Int64) {
        self.millisecondsSince1970 = millisecondsSince1970
    }

    /// The current time of this host's wall clock.
    public static var now: Timestamp {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(millisecondsSince1970: Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000)
    }

    /// Returns whether a time is earlier than another.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.millisecondsSince1970 < right.millisecondsSince1970
    }

    /// Returns the time a duration after another time, rounded down to the millisecond.
    public static func + (time: Timestamp, duration: Duration) -> Timestamp {
        Timestamp(rounding: time.durationSince1970 + bounded(duration))
    }

    /// Returns the time a duration before another time, rounded down to the millisecond.
    public static func - (time: Timestamp, duration: Duration) -> Timestamp {
        Timestamp(rounding: time.durationSince1970 - bounded(duration))
    }

    /// Returns the duration from the right time to the left one.
    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        left.durationSince1970 - right.durationSince1970
    }

    /// Adds a duration, rounded down to the millisecond.
    public static func += (time: inout Timestamp, duration: Duration) { time = time + duration }

    /// Subtracts a duration, rounded down to the millisecond.
    public static func -= (time: inout Timestamp, duration: Duration) { time = time - duration }

    /// The duration from the earliest timestamp to the latest one.
    private static let longest = Duration.milliseconds(Int64.max) - .milliseconds(Int64.min)

    /// Returns the nearest duration that can be added without an overflow; it reaches every other timestamp.
    private static func bounded(_ duration: Duration) -> Duration { min(max(duration, .zero - longest), longest) }

    private var durationSince1970: Duration { .milliseconds(millisecondsSince1970) }

    /// Creates the last timestamp that is not after a time; the nearest one if there is none.
    private init(rounding sinceEpoch: Duration) {
        let bounded = min(max(sinceEpoch, .milliseconds(Int64.min)), .milliseconds(Int64.max))
        // Rounded towards zero.
        let whole = bounded.milliseconds
        self.init(millisecondsSince1970: bounded < .milliseconds(whole) ? whole - 1 : whole)
    }
}
