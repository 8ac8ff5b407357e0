/// Closures to call after a pause, in order.
struct DelayedCalls {
    typealias Call = @Sendable () -> Void

    private var waiting: [(instant: MonotonicInstant, call: Call)] = []

    /// The time of the first call; `nil` if there is none.
    var due: MonotonicInstant? { waiting.first?.instant }

    mutating func add(_ call: @escaping Call, at instant: MonotonicInstant) {
        var index = waiting.endIndex
        while index > waiting.startIndex, waiting[index - 1].instant > instant { index -= 1 }
        waiting.insert((instant, call), at: index)
    }

    /// Removes and returns the calls that are due.
    mutating func takeDue(now: MonotonicInstant) -> [Call] {
        let due = waiting.prefix { $0.instant <= now }
        defer { waiting.removeFirst(due.count) }
        return due.map(\.call)
    }

    /// Removes and returns all calls; the caller releases them outside of its lock.
    mutating func takeAll() -> [Call] {
        defer { waiting = [] }
        return waiting.map(\.call)
    }
}
