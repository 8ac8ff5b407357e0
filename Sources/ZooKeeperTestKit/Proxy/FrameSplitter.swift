/// Splits a stream of bytes into ZooKeeper's frames: a length of four bytes, then that number of bytes.
///
/// A stream without frames, such as a four-letter-word command, is passed on in pieces as it arrives.
struct FrameSplitter {
    /// A piece of the stream.
    enum Piece: Equatable {
        /// A whole frame, including its length.
        case frame([UInt8])
        /// Bytes of a stream without frames.
        case bytes([UInt8])
    }

    /// The longest possible frame; a stream with a greater length has no frames.
    ///
    /// Commands such as "mntr" read as far greater numbers.
    private static let longest = 64 << 20

    private var isFramed: Bool
    private var pending: [UInt8] = []

    init(isFramed: Bool) { self.isFramed = isFramed }

    /// Processes bytes and returns the pieces that they complete.
    mutating func split(_ bytes: ArraySlice<UInt8>) -> [Piece] {
        guard self.isFramed else { return [.bytes(Array(bytes))] }
        self.pending += bytes
        var pieces: [Piece] = []
        var start = 0
        while self.pending.count - start >= 4 {
            let length = self.pending[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
            if length > Self.longest {
                self.isFramed = false
                pieces.append(.bytes(Array(self.pending[start...])))
                start = self.pending.count
                break
            }
            guard self.pending.count - start >= 4 + length else { break }
            pieces.append(.frame(Array(self.pending[start..<start + 4 + length])))
            start += 4 + length
        }
        self.pending.removeFirst(start)
        return pieces
    }

    /// Returns the rest of the stream at its end: an incomplete frame, if any.
    mutating func finish() -> [UInt8] {
        defer { self.pending = [] }
        return self.pending
    }
}
