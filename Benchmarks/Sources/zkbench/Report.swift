import Glibc
import Histogram

/// One result: a JSON object in one line, whose keys are in the order of their addition.
struct Report {
    private var fields = ["\"peer\": \"toolkit\""]

    init(_ line: String) { add("cmd", line) }

    mutating func add(_ key: String, _ value: String) { fields.append("\"\(key)\": \"\(value)\"") }
    mutating func add(_ key: String, _ value: Int) { fields.append("\"\(key)\": \(value)") }
    mutating func add(_ key: String, _ value: Double, digits: Int = 3) {
        fields.append("\"\(key)\": \(value.isFinite ? String(rounded(value, digits: digits)) : "null")")
    }

    /// Adds the median, the 99th percentile and the maximum.
    mutating func add(_ latencies: Latencies, prefix: String = "") {
        add(prefix + "p50_us", latencies.microseconds(50), digits: 2)
        add(prefix + "p99_us", latencies.microseconds(99), digits: 2)
        add(prefix + "max_us", latencies.microseconds(100), digits: 2)
    }

    /// Adds the latencies at the percentiles of ``Latencies/distribution``.
    mutating func addDistribution(_ latencies: Latencies) {
        let values = Latencies.distribution.map { String(rounded(latencies.microseconds($0), digits: 2)) }
        fields.append("\"percentiles_us\": [\(values.joined(separator: ", "))]")
    }

    func print() {
        let line = Array("{\(fields.joined(separator: ", "))}\n".utf8)
        _ = write(1, line, line.count)
    }
}

/// Latencies in nanoseconds, with three significant digits.
struct Latencies {
    /// The percentiles from which a distribution is drawn.
    static let distribution: [Double] = [0, 10, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.9, 100]

    private var histogram = Histogram<UInt32>(
        highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .three)

    mutating func record(_ nanoseconds: Int64) { _ = histogram.record(UInt64(max(0, nanoseconds))) }

    mutating func add(_ other: Latencies) { histogram.add(other.histogram) }

    /// Returns the latency at a percentile, in microseconds; 0 if nothing was recorded.
    func microseconds(_ percentile: Double) -> Double {
        guard histogram.totalCount > 0 else { return 0 }
        let value = percentile == 0 ? histogram.min : histogram.valueAtPercentile(percentile)
        return Double(min(value, histogram.max)) / 1_000
    }

    var milliseconds: (p50: Double, min: Double, max: Double) {
        (microseconds(50) / 1_000, microseconds(0) / 1_000, microseconds(100) / 1_000)
    }
}

func rounded(_ value: Double, digits: Int) -> Double {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    return (value * scale).rounded() / scale
}

/// Returns the median; of an even number of values, the upper one of the two in the middle.
func median<Value: Comparable>(_ values: [Value]) -> Value { values.sorted()[values.count / 2] }
