/// Measured durations and their distribution.
struct Samples: Sendable, Equatable {
    private(set) var sorted: [Duration]

    init(_ durations: [Duration] = []) { sorted = durations.sorted() }

    var isEmpty: Bool { sorted.isEmpty }
    var count: Int { sorted.count }
    var longest: Duration { sorted.last ?? .zero }
    var median: Duration { quantile(0.5) }

    /// Returns the shortest duration that at least a fraction of the samples does not exceed; zero without samples.
    func quantile(_ fraction: Double) -> Duration {
        guard !sorted.isEmpty else { return .zero }
        let index = Int((fraction * Double(sorted.count)).rounded(.up)) - 1
        return sorted[min(max(index, 0), sorted.count - 1)]
    }
}
