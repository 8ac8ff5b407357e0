/// Cuts a stream of bytes into ZooKeeper's frames: four bytes of length, then so many bytes.
///
/// A stream that is not framed, such as a four letter word, is passed on in pieces as it comes.
struct FrameSplitter {
    /// A piece of the stream.
    enum Piece: Equatable {
        /// A whole frame, its length in front.
        case frame([UInt8])
        /// Bytes of a stream that is not framed.
        case bytes([UInt8])
    }

    /// No frame is longer; what looks like a longer one is no frame.
    ///
    /// Words such as "mntr" read as far larger numbers.
    private static let longest = 64 << 20

    private var isFramed: Bool
    private var pending: [UInt8] = []

    init(isFramed: Bool) { self.isFramed = isFramed }

    /// Takes bytes and gives the pieces that they complete.
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

    /// What is left of the stream at its end: an incomplete frame, if any.
    mutating func finish() -> [UInt8] {
        defer { self.pending = [] }
        return self.pending
    }
}
