package import Metrics
import Synchronization

/// Keeps the metrics of the program in memory, and renders them in the text format 0.0.4 of Prometheus.
///
/// A name receives underscores instead of dots. The name of a timer, which is a histogram in seconds, ends with
/// `_seconds`. The memory is bounded: a series has a fixed size, and series beyond ``maximumSeries`` are not recorded.
package final class PrometheusMetrics: MetricsFactory {
    fileprivate enum Kind: String { case counter, gauge, histogram }

    /// All series with one name.
    private struct Family {
        var label: String
        var kind: Kind
        /// The series, by their labels in the text format.
        var series: [String: any Series] = [:]
    }

    /// The maximum number of series, each with its own name and labels.
    package static let maximumSeries = 1000

    /// The upper bounds of the buckets of timers, in seconds: from fast requests to locks that are held for a day.
    private static let secondBounds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21_600, 86_400,
    ]
    /// The upper bounds of the buckets of all other distributions.
    private static let numberBounds: [Double] = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]

    private let help: [String: String]
    private let families = Mutex<[String: Family]>([:])

    /// Creates an empty collection.
    ///
    /// - Parameter help: The help texts of metrics, by their labels.
    package init(help: [String: String] = [:]) {
        self.help = help
    }

    /// The metrics in the text format, sorted.
    package var text: String {
        // Values are read outside of the lock: recording must not wait for a request.
        let families = families.withLock { $0 }
        var lines: [String] = []
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            if let help = help[family.label] { lines.append("# HELP \(name) \(Self.escaped(help, quotes: false))") }
            lines.append("# TYPE \(name) \(family.kind.rawValue)")
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                lines += series.lines(named: name, labels: labels)
            }
        }
        return lines.map { $0 + "\n" }.joined()
    }

    // MARK: Factory

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let found = series(label, .counter, dimensions) { CounterSeries() }
        return found ?? NOOPMetricsHandler.instance
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        let found = series(label, .gauge, dimensions) { GaugeSeries() }
        return found ?? NOOPMetricsHandler.instance
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        let found: (any RecorderHandler)? =
            aggregate
            ? series(label, .histogram, dimensions) { HistogramSeries(Self.numberBounds) }
            : series(label, .gauge, dimensions) { GaugeSeries() }
        return found ?? NOOPMetricsHandler.instance
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        let found = series(label, .histogram, dimensions, unit: "_seconds") { HistogramSeries(Self.secondBounds) }
        return found ?? NOOPMetricsHandler.instance
    }

    // Series remain until the program ends, because Prometheus expects counters that do not disappear.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// Returns the series with a name and labels, which is created for its first use.
    ///
    /// - Returns: `nil` if the name has series of another type, or if there are too many series.
    private func series<Found: Series>(
        _ label: String, _ kind: Kind, _ dimensions: [(String, String)], unit: String = "", _ make: () -> Found
    ) -> Found? {
        var name = Self.identifier(label)
        if !name.hasSuffix(unit) { name += unit }
        let labels = dimensions.map { "\(Self.identifier($0.0))=\"\(Self.escaped($0.1, quotes: true))\"" }
            .joined(separator: ",")
        return families.withLock { families in
            if let known = families[name]?.series[labels] { return known as? Found }
            guard families.values.reduce(0, { $0 + $1.series.count }) < Self.maximumSeries else { return nil }
            var family = families[name] ?? Family(label: label, kind: kind)
            guard family.kind == kind else { return nil }
            let new = make()
            family.series[labels] = new
            families[name] = family
            return new
        }
    }

    /// Returns a name that contains only ASCII letters, digits and underscores, and does not begin with a digit.
    private static func identifier(_ text: String) -> String {
        let name = String(
            text.unicodeScalars.map { scalar in
                scalar.isASCII && scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                    ? Character(scalar) : "_"
            })
        return name.first?.isNumber == false ? name : "_" + name
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        let text = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        return quotes ? text.replacing("\"", with: "\\\"") : text
    }
}

/// The values with one name and one set of labels.
private protocol Series: AnyObject, Sendable {
    func lines(named name: String, labels: String) -> [String]
}

extension Series {
    fileprivate func line(_ name: String, _ labels: String, _ value: String) -> String {
        labels.isEmpty ? "\(name) \(value)" : "\(name){\(labels)} \(value)"
    }

    fileprivate func text(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}

private final class CounterSeries: Series, CounterHandler {
    private let value = Atomic<Int64>(0)

    func increment(by amount: Int64) { value.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { value.store(0, ordering: .relaxed) }

    func lines(named name: String, labels: String) -> [String] {
        [line(name, labels, "\(value.load(ordering: .relaxed))")]
    }
}

private final class GaugeSeries: Series, MeterHandler, RecorderHandler {
    private let value = Mutex(0.0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }

    func lines(named name: String, labels: String) -> [String] { [line(name, labels, text(value.withLock { $0 }))] }
}

private final class HistogramSeries: Series, TimerHandler, RecorderHandler {
    private struct State {
        /// The number of values in each bucket; the last one has no upper bound.
        var counts: [UInt64]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    init(_ bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        // Such a value would make the sum useless for ever.
        guard !value.isNaN else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    func lines(named name: String, labels: String) -> [String] {
        let state = state.withLock { $0 }
        let prefix = labels.isEmpty ? "" : labels + ","
        var (lines, count): ([String], UInt64) = ([], 0)
        for (bound, inBucket) in zip(bounds.map { text($0) } + ["+Inf"], state.counts) {
            count += inBucket
            lines.append(line("\(name)_bucket", "\(prefix)le=\"\(bound)\"", "\(count)"))
        }
        return lines + [line("\(name)_sum", labels, text(state.sum)), line("\(name)_count", labels, "\(count)")]
    }
}
