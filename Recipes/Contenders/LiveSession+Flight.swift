internal import Synchronization
internal import ZooKeeper

extension LiveSession {
    /// Sends requests in this order, without waiting in between, and calls a closure with all results.
    ///
    /// The closure runs on the thread that brings the last result: it must not block.
    func post(_ requests: [SessionRequest], completion: @escaping @Sendable ([SessionResult]) -> Void) {
        guard !requests.isEmpty else { return completion([]) }
        let results = FlightResults(count: requests.count)
        let batch = RequestBatch()
        for (index, request) in requests.enumerated() {
            post(request, batch: batch) { result in
                if let all = results.add(result, at: index) { completion(all) }
            }
        }
    }
}

/// The results of one flight, as they come in.
private final class FlightResults: Sendable {
    private let results: Mutex<[SessionResult?]>

    init(count: Int) {
        results = Mutex(Array(repeating: nil, count: count))
    }

    /// Notes a result; gives all of them with the last one.
    func add(_ result: SessionResult, at index: Int) -> [SessionResult]? {
        results.withLock { results in
            results[index] = result
            let known = results.compactMap(\.self)
            return known.count == results.count ? known : nil
        }
    }
}
