/// Actions to retry together after a short pause.
struct Retries {
    typealias Retry = @Sendable () -> Void

    private static let pause = Duration.milliseconds(100)

    private var waiting: [Retry] = []
    /// The time of the retry; `nil` if there is nothing to retry.
    private(set) var due: MonotonicInstant?

    mutating func add(_ retry: @escaping Retry, now: MonotonicInstant) {
        waiting.append(retry)
        due = due ?? now + Self.pause
    }

    /// Removes and returns all actions if they are due.
    mutating func takeDue(now: MonotonicInstant) -> [Retry] {
        guard let due, due <= now else { return [] }
        return takeAll()
    }

    /// Removes and returns all actions; the caller releases them outside of its lock.
    mutating func takeAll() -> [Retry] {
        defer { self = Retries() }
        return waiting
    }
}
