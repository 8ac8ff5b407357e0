package import Metrics
internal import Synchronization

/// The metrics of the client, recorded through swift-metrics.
///
/// - `zookeeper.requests`: requests, by `operation` and `outcome` (`ok` or the error's code)
/// - `zookeeper.request.duration.seconds`: time from submission to answer, by `operation`
/// - `zookeeper.session.changes`: sessions started and ended, connections lost, by `change`
/// - `zookeeper.session.validity.seconds`: remaining validity in seconds after the last successful check of held znodes
final class ZooKeeperMetrics: Sendable {
    private struct Outcome: Hashable {
        var operation: String
        var outcome: String
    }

    private struct Handlers {
        var requests: [Outcome: Counter] = [:]
        var durations: [String: Timer] = [:]
        var changes: [String: Counter] = [:]
    }

    private let factory: any MetricsFactory
    private let handlers = Mutex(Handlers())
    /// The metrics of other modules, by their types.
    private let otherMetrics = Mutex<[ObjectIdentifier: any Sendable]>([:])
    private let validity: Gauge

    init(factory: any MetricsFactory) {
        self.factory = factory
        validity = Gauge(
            label: "zookeeper.session.validity.seconds", dimensions: [], factory: factory)
    }

    func finished(_ operation: String, result: SessionResult, duration: Duration) {
        let outcome =
            switch result {
            case .success: "ok"
            case .failure(let error): error.code.description
            }
        let (counter, timer) = handlers.withLock { handlers in
            (
                handlers.requests[Outcome(operation: operation, outcome: outcome)]
                    ?? makeCounter(operation, outcome, &handlers),
                handlers.durations[operation] ?? makeTimer(operation, &handlers)
            )
        }
        counter.increment()
        timer.recordNanoseconds(duration.nanoseconds)
    }

    func changed(_ change: String) {
        let counter = handlers.withLock { handlers in
            if let counter = handlers.changes[change] { return counter }
            let counter = Counter(
                label: "zookeeper.session.changes", dimensions: [("change", change)], factory: factory)
            handlers.changes[change] = counter
            return counter
        }
        counter.increment()
    }

    func proved(validityLeft: Duration) {
        validity.record(Double(validityLeft.nanoseconds) / 1e9)
    }

    fileprivate func others<Others: Sendable>(_ make: (any MetricsFactory) -> Others) -> Others {
        otherMetrics.withLock { others in
            if let known = others[ObjectIdentifier(Others.self)] as? Others { return known }
            let new = make(factory)
            others[ObjectIdentifier(Others.self)] = new
            return new
        }
    }

    private func makeCounter(_ operation: String, _ outcome: String, _ handlers: inout Handlers) -> Counter {
        let counter = Counter(
            label: "zookeeper.requests", dimensions: [("operation", operation), ("outcome", outcome)],
            factory: factory)
        handlers.requests[Outcome(operation: operation, outcome: outcome)] = counter
        return counter
    }

    private func makeTimer(_ operation: String, _ handlers: inout Handlers) -> Timer {
        let timer = Timer(
            label: "zookeeper.request.duration.seconds", dimensions: [("operation", operation)], factory: factory)
        handlers.durations[operation] = timer
        return timer
    }
}

extension ZooKeeperClient {
    /// Returns the metrics of a module that uses the client; they exist once for each client and type.
    ///
    /// - Parameter make: Creates them with the client's factory, for the first use.
    package func metrics<Others: Sendable>(_ make: (any MetricsFactory) -> Others) -> Others {
        core.metrics.others(make)
    }
}
