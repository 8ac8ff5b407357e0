internal import ZooKeeper

/// A time of a local day, to the minute.
public struct TimeOfDay: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The hour, from 0 to 23.
    public let hour: Int
    /// The minute, from 0 to 59.
    public let minute: Int

    /// Creates a time of day.
    ///
    /// - Parameters:
    ///   - hour: The hour, from 0 to 23.
    ///   - minute: The minute, from 0 to 59. Default: 0.
    /// - Throws: ``ScheduleError`` if a value is out of range.
    public init(hour: Int, minute: Int = 0) throws(ScheduleError) {
        guard (0...23).contains(hour), (0...59).contains(minute) else {
            throw ScheduleError("\(hour):\(minute) as a time of day: hours are 0 to 23, minutes 0 to 59")
        }
        self.init(unchecked: hour, minute)
    }

    init(unchecked hour: Int, _ minute: Int) {
        self.hour = hour
        self.minute = minute
    }

    /// The time in the form `02:30`.
    public var description: String { "\(twoDigits(hour)):\(twoDigits(minute))" }

    /// Returns whether a time is earlier on the same day than another.
    public static func < (left: TimeOfDay, right: TimeOfDay) -> Bool {
        (left.hour, left.minute) < (right.hour, right.minute)
    }

    init(minuteOfDay: Int) {
        self.init(unchecked: minuteOfDay / 60, minuteOfDay % 60)
    }
}
