internal import ZooKeeper

// What operators request from windows.
extension ExclusiveMode {
    /// Asks the requested window to evict a processor that does not pause, and waits until the eviction is recorded.
    ///
    /// The window evicts the processor as with ``DrainPolicy/evict(after:)``, whatever its own policy is: it records the
    /// eviction, deletes the processor's read znode, and opens after the processor's session timeout at the earliest.
    /// It continues to wait for other processors. The window's log contains the operator and the reason.
    ///
    /// - Parameters:
    ///   - processor: The ID of a processor in ``ExclusiveStatus/notPaused``.
    ///   - id: The ID of the operator, for the window's log.
    ///   - reason: The reason, for the window's log. Default: empty.
    ///   - timeout: The time until the eviction is recorded. Default: 10 s.
    /// - Returns: The time for which the processor may have continued after that, so that the window does not open.
    /// - Throws: ``RecipeError`` with code `.notFound` if no window is requested, or if it belongs to another client
    ///   library, such as a JVM's; `.notAnswered` if the window has not evicted the processor in time, for example
    ///   because it has paused. `ZooKeeperError`, such as `.noAuth`; `CancellationError`, after which the processor may
    ///   be evicted.
    /// - Complexity: 2 requests in 2 round trips to find the window, 2 in 2 to send the request, and 2 to observe the
    ///   records. The window sends 3, and those of an eviction.
    public func requestEviction(
        of processor: String, id: String, reason: String = "", timeout: Duration = .seconds(10)
    ) async throws -> Duration {
        let deadline = client.clock.now + timeout
        let request = ContenderRequest(.evict, requesterID: id, reason: reason, details: ["processor": processor])
        let (client, mode) = (client, self)
        let sent = OperatorRequest(client: client)
        defer { sent.withdraw() }
        let window = try await client.recipeSteps(until: deadline) {
            guard let window = try await mode.requestedWindow(),
                try await sent.send(request, to: window.node, inQueue: mode.locksPath)
            else { throw mode.noWindow }
            return window.id
        }
        if let window {
            let wait = try await client.recipeSteps(until: deadline) {
                try await mode.evictionTime(of: processor, by: window)
            }
            if let wait { return wait }
        }
        switch try await sent.end() {
        case .withdrawn where window == nil: throw mode.notAnswered("the ensemble did not answer", timeout)
        case .withdrawn:
            throw mode.notAnswered(
                "the window has not read the request: its program hangs, or uses an older version of this package",
                timeout)
        case .read:
            throw mode.notAnswered(
                "the window has read the request, and has not evicted \(processor), which may have paused or left",
                timeout)
        case .unknown:
            throw mode.notAnswered(
                "it is not known whether the window has read the request: it may still evict \(processor)", timeout)
        }
    }

    /// Returns the ID of the requested window and its write znode; `nil` if there is none of this package.
    private func requestedWindow() async throws -> (id: String, node: String)? {
        guard let (signal, _) = try await client.dataIfExists(at: signalPath) else { return nil }
        var record = SignalRecord(signal)
        if record.isHold {
            guard let (own, _) = try await client.dataIfExists(at: heldWindowPath) else { return nil }
            record = SignalRecord(own)
        }
        let id = record.id
        let names = try await client.children(of: locksPath).names
        let prefix = ContenderName.prefix(uuid: id)
        let own = names.lazy.compactMap(ContenderName.init).first { $0.kind == .write && $0.isOwn(prefix: prefix) }
        return own.map { (id, $0.string) }
    }

    /// Waits until the window has recorded the eviction of a processor, and returns how long that may continue.
    private func evictionTime(of processor: String, by window: String) async throws -> Duration {
        while true {
            let (data, _, watch) = try await client.watchData(at: windowsPath, share: nil)
            let record = WindowRecord.list(data).first { $0.id == window && $0.outcome == .evicting }
            if let record, record.evicted.contains(processor), let time = record.evictionTime {
                watch.cancel()
                return time
            }
            _ = try await watch.event()
        }
    }

    private var noWindow: RecipeError {
        RecipeError(
            .notFound, in: .exclusiveMode, path: path,
            message: "no window is requested, or it belongs to another client library")
    }

    private func notAnswered(_ problem: String, _ timeout: Duration) -> RecipeError {
        RecipeError(.notAnswered, in: .exclusiveMode, path: path, message: "\(problem) (within \(timeout))")
    }
}
