package import ZooKeeper

// The instants of schedules, and their text forms in names of znodes and in records.
extension Timestamp {
    /// The instants at which schedules fire, in seconds since 1970: the years 1 to 9999.
    ///
    /// Their texts sort in chronological order.
    static let scheduledSeconds = -62_135_596_800...253_402_300_799

    /// Creates a timestamp from a number of seconds since 1970.
    init(seconds: Int) {
        self = Timestamp(millisecondsSince1970: 0) + .seconds(seconds)
    }

    /// The number of whole seconds since 1970, rounded down.
    var seconds: Int { Int(millisecondsSince1970).dividedDown(by: 1000).quotient }

    /// The time in UTC without milliseconds, `2026-03-08T07:00:00Z`, clamped to ``scheduledSeconds``.
    package var secondsText: String {
        Timestamp.text(ofSeconds: Self.scheduledSeconds.clamping(seconds)) + "Z"
    }

    /// The time in UTC with milliseconds, `2026-03-08T07:00:00.250Z`, clamped to ``scheduledSeconds``.
    var millisecondsText: String {
        let (first, last) = (Self.scheduledSeconds.lowerBound * 1000, Self.scheduledSeconds.upperBound * 1000)
        return Timestamp(millisecondsSince1970: Int64((first...last).clamping(Int(millisecondsSince1970)))).description
    }

    /// Parses an instant in UTC or with an offset: `2026-03-07T12:00:00Z`, `2026-03-07T13:00:00+01:00`.
    ///
    /// - Throws: ``ScheduleError``, which names the error and the valid form.
    package init(scheduleText text: String) throws(ScheduleError) {
        let wrong = { (why: String) in ScheduleError("\"\(text)\" as an instant: \(why)") }
        do { self = try Timestamp(parsing: text) } catch { throw wrong(error.description) }
        guard Self.scheduledSeconds.contains(seconds) else {
            throw wrong("it is not within the years 0001 to 9999 in UTC")
        }
    }
}

extension ClosedRange<Int> {
    /// Returns the nearest integer in the range.
    func clamping(_ value: Int) -> Int { Swift.min(Swift.max(value, lowerBound), upperBound) }
}
