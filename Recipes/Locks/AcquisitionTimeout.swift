internal import ZooKeeper

/// The time limit of an acquisition.
enum AcquisitionTimeout: Sendable {
    /// Does not wait for other participants.
    case none
    case atMost(Duration)
    case unlimited

    /// Creates a limit from a timeout.
    ///
    /// - Parameter duration: The timeout; `nil` waits without limit.
    init(atMost duration: Duration?) {
        self = duration.map { .atMost($0) } ?? .unlimited
    }

    /// 34 years: the longest duration that clocks can compute with.
    private static let longest: Duration = .seconds(1 << 30)

    /// Whether to wait for participants ahead in the queue.
    var waits: Bool {
        if case .none = self { false } else { true }
    }

    /// Returns the time by which every step must be completed; `nil` for no limit.
    ///
    /// An acquisition that does not wait for other participants has the client's retry timeout.
    func deadline(_ client: ZooKeeperClient) -> MonotonicInstant? {
        switch self {
        case .none: client.clock.now + client.configuration.retry.timeout
        case .atMost(let duration): client.clock.now + min(duration, Self.longest)
        case .unlimited: nil
        }
    }
}
