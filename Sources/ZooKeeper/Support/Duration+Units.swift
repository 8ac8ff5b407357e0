extension Duration {
    /// The duration in whole milliseconds, rounded towards zero; the nearest representable number if it does not fit.
    package var milliseconds: Int64 { inUnits(aSecond: 1000) }

    /// The duration in whole nanoseconds, rounded towards zero; the nearest representable number, about 292 years, if
    /// it does not fit.
    package var nanoseconds: Int64 { inUnits(aSecond: 1_000_000_000) }

    private func inUnits(aSecond: Int64) -> Int64 {
        let (seconds, attoseconds) = components
        let fraction = attoseconds / (1_000_000_000_000_000_000 / aSecond)
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: aSecond)
        guard !overflow else { return seconds < 0 ? .min : .max }
        return whole.saturatingAdd(fraction)
    }
}

extension Int64 {
    /// Returns the sum, or the nearest representable number.
    func saturatingAdd(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        guard overflow else { return sum }
        return other < 0 ? .min : .max
    }

    /// Returns the difference, or the nearest representable number.
    func saturatingSubtract(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        guard overflow else { return difference }
        return other < 0 ? .max : .min
    }
}
