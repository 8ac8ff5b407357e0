/// Replaces the address in the first message of an election connection between two servers.
///
/// In that message, a server announces the address at which it can be called back. The other server calls back if its
/// own number is higher. With the address of a proxy in the message, that connection runs through a proxy as well.
struct AnnouncementRewriter {
    /// The bytes before the address: protocol version, number of the server, length of the address.
    private static let headerLength = 20

    let address: String
    private var pending: [UInt8] = []
    private var isDone = false

    init(address: String) { self.address = address }

    /// Processes bytes of the stream and returns those that can be forwarded.
    mutating func rewrite(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        guard !self.isDone else { return Array(bytes) }
        self.pending += bytes
        guard self.pending.count >= Self.headerLength else { return [] }
        var reader = WireReader(self.pending[...])
        // Servers older than 3.5 start with their number and announce no address.
        guard let version = reader.int64(), version < 0, let number = reader.int64() else { return self.finish() }
        guard reader.buffer() != nil else {
            return self.pending.count > 4_096 ? self.finish() : []
        }
        var lengthReader = WireReader(self.pending[16...])
        let oldEnd = Self.headerLength + Int(lengthReader.int32() ?? 0)
        var message = WireWriter()
        message.int64(version)
        message.int64(number)
        message.buffer(Array(self.address.utf8))
        self.pending.replaceSubrange(..<oldEnd, with: message.bytes)
        return self.finish()
    }

    private mutating func finish() -> [UInt8] {
        self.isDone = true
        defer { self.pending = [] }
        return self.pending
    }
}
