/// The state of a semaphore as its znodes describe it, without side effects.
struct SemaphoreRoom: Sendable, Hashable {
    /// The number of leases that can be held at the same time.
    var limit: Int
    /// The number of leases that exist.
    var taken: Int

    /// Counts the leases.
    ///
    /// - Parameters:
    ///   - limit: The number of leases that can be held at the same time.
    ///   - names: The children of the leases' directory. Children whose names are not those of leases are ignored.
    init(limit: Int, names: [String]) {
        self.limit = limit
        taken = names.count(where: Self.isLease)
    }

    /// Returns whether this many more leases fit within the limit.
    ///
    /// Lowering the limit revokes nothing: until enough leases are released, none fits.
    func fits(_ count: Int) -> Bool { taken + count <= limit }

    static let word = "lease-"

    static func isLease(_ name: String) -> Bool {
        let digits = name.utf8.suffix(10)
        guard digits.count == 10, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return false
        }
        // After the server's sequence numbers overflow, a sign precedes the digits.
        let rest = name.utf8.dropLast(10)
        return [word, word + "-"].contains { rest.suffix($0.utf8.count).elementsEqual($0.utf8) }
    }

    /// Encodes a limit in the format of Apache Curator's `SharedCount`: 4 bytes, big-endian.
    static func bytes(limit: Int) -> [UInt8] {
        let number = UInt32(bitPattern: Int32(clamping: limit))
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> UInt32($0)) }
    }

    /// Decodes a limit.
    ///
    /// - Returns: `nil` if the data has another format.
    static func limit(_ bytes: [UInt8]) -> Int? {
        guard bytes.count == 4 else { return nil }
        return Int(Int32(bitPattern: bytes.reduce(0) { $0 << 8 | UInt32($1) }))
    }
}
