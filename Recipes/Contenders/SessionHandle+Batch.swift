internal import Synchronization
internal import ZooKeeper

extension SessionHandle {
    /// Sends requests in this order, pipelined, and calls a closure with all results.
    ///
    /// The closure is called on the thread that delivers the last result, and must not block.
    func post(_ requests: [SessionRequest], completion: @escaping @Sendable ([SessionResult]) -> Void) {
        guard !requests.isEmpty else { return completion([]) }
        let results = BatchResults(count: requests.count)
        let batch = RequestBatch()
        for (index, request) in requests.enumerated() {
            post(request, batch: batch) { result in
                if let all = results.add(result, at: index) { completion(all) }
            }
        }
    }
}

/// Collects the results of one batch.
private final class BatchResults: Sendable {
    private let results: Mutex<[SessionResult?]>

    init(count: Int) {
        results = Mutex(Array(repeating: nil, count: count))
    }

    /// Adds a result; returns all results if it was the last one.
    func add(_ result: SessionResult, at index: Int) -> [SessionResult]? {
        results.withLock { results in
            results[index] = result
            let known = results.compactMap(\.self)
            return known.count == results.count ? known : nil
        }
    }
}
