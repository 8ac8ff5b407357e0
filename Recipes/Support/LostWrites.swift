internal import ZooKeeper

/// Counts how often in a row a connection was lost while one and the same write was in flight.
///
/// A server that receives a packet over its `jute.maxbuffer` closes the connection without an answer. Sent again at once,
/// the packet costs every user of the client its connection again and again. So each loss is followed by a longer pause,
/// and a write of some size that keeps losing its connection counts as refused.
struct LostWrites: Sendable {
    /// The number of connections that were lost in a row.
    private(set) var count = 0
    private var isTooLarge = false
    private var backoff: Backoff
    /// The longest pause while the network may be at fault.
    private static let longestPause = Duration.seconds(5)
    /// A network that fails may lose this many by chance.
    private static let threshold = 3
    /// The smallest `jute.maxbuffer` that a client can be configured for: what is smaller fits every server.
    private static let smallestLimit = 1024

    init(seed: UInt64) {
        backoff = Backoff(initial: .milliseconds(200), cap: .seconds(60), seed: seed)
    }

    /// Records a loss.
    ///
    /// - Parameter size: The number of bytes of data that were written.
    /// - Returns: The error to report if the server probably refuses the write because of its size.
    mutating func record(size: Int, path: String) -> ZooKeeperError? {
        count += 1
        isTooLarge = count >= Self.threshold && size >= Self.smallestLimit
        guard isTooLarge else { return nil }
        return ZooKeeperError(
            .dataTooLarge, path: path,
            message: "the server closed the connection \(count) times in a row while \(size) bytes were being written; "
                + "its jute.maxbuffer is probably smaller: write less, or raise it",
            isOutcomeUnknown: true)
    }

    /// The pause before the write is tried again.
    mutating func pause() -> Duration {
        let pause = backoff.pause()
        return isTooLarge ? pause : min(pause, Self.longestPause)
    }

    /// Starts again from zero, after an answer or with other data.
    mutating func reset() {
        (count, isTooLarge) = (0, false)
        backoff.reset()
    }
}
