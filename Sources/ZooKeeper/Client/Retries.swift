/// What is to be tried once more after a short pause, all of it together.
struct Retries {
    typealias Retry = @Sendable () -> Void

    private static let pause = Duration.milliseconds(100)

    private var waiting: [Retry] = []
    /// When to try; `nil` while there is nothing.
    private(set) var due: MonotonicInstant?

    mutating func add(_ retry: @escaping Retry, now: MonotonicInstant) {
        waiting.append(retry)
        due = due ?? now + Self.pause
    }

    /// Takes everything if it is due.
    mutating func takeDue(now: MonotonicInstant) -> [Retry] {
        guard let due, due <= now else { return [] }
        return takeAll()
    }

    /// Takes everything; the caller releases it outside of its lock.
    mutating func takeAll() -> [Retry] {
        defer { self = Retries() }
        return waiting
    }
}
