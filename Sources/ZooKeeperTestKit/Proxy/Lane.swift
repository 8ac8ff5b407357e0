import Glibc

/// One direction of a proxied connection: the bytes that came from one socket and wait to be written to the other.
///
/// Used only on the proxy's thread.
struct Lane {
    /// The way in which the source ended.
    enum End { case closed, reset }

    private struct Piece {
        var bytes: [UInt8]
        var due: ContinuousClock.Instant
    }

    /// The limit of waiting bytes above which nothing more is read, so that the sender is slowed down as on a network.
    private static let capacity = 16 << 20

    let direction: ProxyDirection
    var splitter: FrameSplitter
    /// The way in which the source ended, if it did; it is applied once everything before it has been forwarded.
    var end: End?
    /// Whether the sink has been notified that no more bytes follow.
    var isFinished = false
    /// The number of frames so far, including the connect frame.
    var frames = 0

    private var queue: [Piece] = []
    private var firstPiece = 0
    private var firstByte = 0
    private var queuedBytes = 0
    private var nextWrite: ContinuousClock.Instant?

    init(direction: ProxyDirection, isFramed: Bool) {
        self.direction = direction
        self.splitter = FrameSplitter(isFramed: isFramed)
    }

    var isEmpty: Bool { self.firstPiece == self.queue.count }
    var wantsToRead: Bool { self.end == nil && self.queuedBytes < Self.capacity }

    mutating func append(_ bytes: [UInt8], due: ContinuousClock.Instant) {
        guard !bytes.isEmpty else { return }
        self.queue.append(Piece(bytes: bytes, due: due))
        self.queuedBytes += bytes.count
    }

    mutating func discard() {
        self.queue = []
        self.firstPiece = 0
        self.firstByte = 0
        self.queuedBytes = 0
    }

    /// Returns the time of the next write, or `nil` if there are no bytes or the lane is blocked.
    func nextDue(_ settings: ProxySettings) -> ContinuousClock.Instant? {
        guard !self.isEmpty, !settings.isBlocked(self.direction) else { return nil }
        let due = self.queue[self.firstPiece].due
        return self.nextWrite.map { max($0, due) } ?? due
    }

    /// Writes the bytes that are due.
    ///
    /// Returns `false` if the sink is closed.
    mutating func write(to sink: Int32, settings: ProxySettings, now: ContinuousClock.Instant) -> Bool {
        while let due = self.nextDue(settings), due <= now {
            let piece = self.queue[self.firstPiece]
            var count = piece.bytes.count - self.firstByte
            if let rate = settings.bytesPerSecond { count = min(count, max(1, rate / 50)) }
            let written = piece.bytes[self.firstByte..<self.firstByte + count].withUnsafeBytes {
                send(sink, $0.baseAddress, count, Int32(MSG_NOSIGNAL))
            }
            guard written > 0 else { return errno == EAGAIN || errno == EINTR }
            self.queuedBytes -= written
            self.firstByte += written
            self.nextWrite = settings.bytesPerSecond.map { now + .seconds(1) * Double(written) / Double($0) }
            if self.firstByte == piece.bytes.count { self.removeFirst() }
        }
        return true
    }

    private mutating func removeFirst() {
        self.firstByte = 0
        self.queue[self.firstPiece].bytes = []
        self.firstPiece += 1
        if self.isEmpty || self.firstPiece > 256 {
            self.queue.removeFirst(self.firstPiece)
            self.firstPiece = 0
        }
    }
}
