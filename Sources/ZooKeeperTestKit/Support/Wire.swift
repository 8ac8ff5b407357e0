/// A reader of ZooKeeper's wire format: numbers in network byte order, strings and buffers after their length.
struct WireReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.rest = bytes }

    mutating func int32() -> Int32? { self.number(4).map { Int32(truncatingIfNeeded: $0) } }
    mutating func int64() -> Int64? { self.number(8).map { Int64(bitPattern: $0) } }

    /// Reads a buffer; the length -1 means an absent buffer, which is read as an empty one.
    mutating func buffer() -> [UInt8]? {
        guard let length = self.int32(), length <= self.rest.count else { return nil }
        defer { self.rest = self.rest.dropFirst(Int(max(length, 0))) }
        return Array(self.rest.prefix(Int(max(length, 0))))
    }

    mutating func string() -> String? { self.buffer().map { String(decoding: $0, as: UTF8.self) } }

    private mutating func number(_ width: Int) -> UInt64? {
        guard self.rest.count >= width else { return nil }
        defer { self.rest = self.rest.dropFirst(width) }
        return self.rest.prefix(width).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// A writer of ZooKeeper's wire format.
package struct WireWriter {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func int32(_ value: Int32) { self.number(UInt64(UInt32(bitPattern: value)), width: 4) }
    package mutating func int64(_ value: Int64) { self.number(UInt64(bitPattern: value), width: 8) }
    package mutating func bool(_ value: Bool) { self.bytes.append(value ? 1 : 0) }

    package mutating func buffer(_ value: [UInt8]) {
        self.int32(Int32(value.count))
        self.bytes += value
    }

    /// The bytes as one frame, after their length.
    package var frame: [UInt8] {
        var framed = WireWriter()
        framed.buffer(self.bytes)
        return framed.bytes
    }

    private mutating func number(_ value: UInt64, width: Int) {
        for shift in stride(from: (width - 1) * 8, through: 0, by: -8) {
            self.bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }
}
