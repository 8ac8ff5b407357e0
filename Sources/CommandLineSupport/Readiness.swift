import Synchronization

/// Whether the program can do its work: all conditions that its parts have added are met.
package final class Readiness: Sendable {
    private let conditions = Mutex<[@Sendable () -> String?]>([])

    package init() {}

    /// Adds a condition.
    ///
    /// - Parameter problem: Returns what is missing; `nil` if the condition is met.
    package func require(_ problem: @escaping @Sendable () -> String?) {
        conditions.withLock { $0.append(problem) }
    }

    /// The reason why the program is not ready; `nil` if it is ready.
    package var problem: String? {
        let conditions = conditions.withLock { $0 }
        guard !conditions.isEmpty else { return "the program starts" }
        return conditions.lazy.compactMap { $0() }.first
    }
}
