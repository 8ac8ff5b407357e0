internal import ZooKeeper

/// The periods of a schedule that start within a range and have started already.
public struct PeriodRange: Sendable, Hashable {
    /// The number of periods, including those that are completed.
    public var count: Int
    /// The first period.
    public var first: Schedule.Period
    /// The last period.
    public var last: Schedule.Period
}

extension PeriodRange {
    /// The result of counting the periods of a range.
    enum Counted: Sendable, Hashable {
        case none
        case periods(PeriodRange)
        /// There are more than the limit.
        case tooMany
    }
}

extension Schedule {
    /// Counts the periods that start within a range and not after the current time.
    ///
    /// - Parameter limit: The number after which the count stops.
    func count(
        from: Timestamp, through: Timestamp, now: Timestamp, limit: Int
    ) -> PeriodRange.Counted {
        let end = min(through, now)
        guard let first = next(after: from - .milliseconds(1)), first.start <= end else { return .none }
        var range = PeriodRange(count: 1, first: first, last: first)
        while let period = next(after: range.last.start), period.start <= end {
            range.count += 1
            range.last = period
            if range.count > limit { return .tooMany }
        }
        return range.count > limit ? .tooMany : .periods(range)
    }
}
