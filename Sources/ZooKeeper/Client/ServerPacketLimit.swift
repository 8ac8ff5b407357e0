/// The packet size that the servers probably refuse, learned from lost connections.
///
/// A server that receives a packet above its `jute.maxbuffer` closes the connection without an answer. If the packet is
/// sent again, all users of the client lose their connection again. So if several connections in a row were lost while
/// a large request was unanswered, requests of that size fail with `.dataTooLarge` instead of being sent. After a
/// while, one of them is sent again, because the network may have been the cause, or the limit may have been raised.
struct ServerPacketLimit: Sendable {
    private struct Loss {
        var establishment: Int
        var size: Int
    }

    /// The number of losses in a row that counts; a failing network may lose fewer by chance.
    private static let threshold = 3
    /// The smallest `jute.maxbuffer` that a client can be configured for: a smaller packet fits every server.
    private static let smallestLimit = 1024
    private static let duration = Duration.seconds(60)

    /// The newest losses since a packet of their size was answered, one per connection.
    private var losses: [Loss] = []
    /// The size from which packets are refused.
    private(set) var refusedSize: Int?
    private var expiry = MonotonicInstant.distantPast

    /// Returns whether requests of this size are refused now.
    func refuses(_ size: Int, now: MonotonicInstant) -> Bool {
        guard let refusedSize else { return false }
        return size >= refusedSize && now < expiry
    }

    /// Records a request that was sent on a connection and lost with it.
    ///
    /// - Parameters:
    ///   - establishment: The number of the connection; the largest request of each connection counts.
    /// - Returns: Whether requests of this size are refused from now on, and were not before.
    mutating func recordLoss(ofSize size: Int, establishment: Int, now: MonotonicInstant) -> Bool {
        guard size >= Self.smallestLimit else { return false }
        if let refusedSize, now < expiry, losses.last?.establishment != establishment,
            (refusedSize / 2..<refusedSize).contains(size)
        {
            // A size slightly below the refused one is probably too large as well.
            self.refusedSize = size
            return false
        }
        if let last = losses.indices.last, losses[last].establishment == establishment {
            losses[last].size = max(losses[last].size, size)
        } else {
            losses = losses.suffix(Self.threshold - 1) + [Loss(establishment: establishment, size: size)]
        }
        guard losses.count == Self.threshold, let largest = losses.map(\.size).max() else { return false }
        let wasRefused = refuses(largest, now: now)
        (refusedSize, expiry) = (largest, now + Self.duration)
        return !wasRefused
    }

    /// Records an answer: servers accept packets of this size.
    mutating func recordAnswer(toSize size: @autoclosure () -> Int) {
        guard !losses.isEmpty else { return }
        let size = size()
        losses.removeAll { $0.size <= size }
        if let refusedSize, refusedSize <= size { self.refusedSize = nil }
    }
}

extension ZooKeeperError {
    static func refusedByServer(path: String?, size: Int) -> ZooKeeperError {
        ZooKeeperError(
            .dataTooLarge, path: path,
            message: "three connections in a row were lost while requests of up to \(size) bytes were unanswered; the "
                + "servers' jute.maxbuffer is probably smaller: send less, or raise it")
    }
}
