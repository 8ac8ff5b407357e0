internal import ZooKeeper

/// How long an acquisition may take.
enum Patience: Sendable {
    /// Does not wait for others at all.
    case none
    case atMost(Duration)
    case unlimited

    /// - Parameter duration: `nil` waits without limit.
    init(atMost duration: Duration?) {
        self = duration.map { .atMost($0) } ?? .unlimited
    }

    /// Thirty-four years: what clocks can reckon with.
    private static let longest: Duration = .seconds(1 << 30)

    /// Whether to wait for those in front.
    var waits: Bool {
        if case .none = self { false } else { true }
    }

    /// When every step must be over; one that does not wait for others gets the client's time for a request.
    func deadline(_ client: ZooKeeperClient) -> MonotonicInstant? {
        switch self {
        case .none: client.clock.now + client.configuration.retry.deadline
        case .atMost(let duration): client.clock.now + min(duration, Self.longest)
        case .unlimited: nil
        }
    }
}
