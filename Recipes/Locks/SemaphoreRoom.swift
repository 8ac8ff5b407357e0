/// What a semaphore's znodes say: pure.
struct SemaphoreRoom: Sendable, Hashable {
    /// How many leases may stand at a time.
    var limit: Int
    /// How many do.
    var taken: Int

    /// - Parameter names: The children of the leases' directory; those of other names are no leases.
    init(limit: Int, names: [String]) {
        self.limit = limit
        taken = names.count(where: Self.isLease)
    }

    /// Whether so many more fit.
    ///
    /// A limit that was lowered revokes nothing: then nothing fits for a while.
    func fits(_ count: Int) -> Bool { taken + count <= limit }

    static let word = "lease-"

    static func isLease(_ name: String) -> Bool {
        let digits = name.utf8.suffix(10)
        guard digits.count == 10, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            return false
        }
        // Beyond the end of the server's numbers there is a sign before the digits.
        let rest = name.utf8.dropLast(10)
        return [word, word + "-"].contains { rest.suffix($0.utf8.count).elementsEqual($0.utf8) }
    }

    /// A limit as Apache Curator's `SharedCount` writes it: four bytes, the highest first.
    static func bytes(limit: Int) -> [UInt8] {
        let number = UInt32(bitPattern: Int32(clamping: limit))
        return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> UInt32($0)) }
    }

    /// - Returns: `nil` when it is something else.
    static func limit(_ bytes: [UInt8]) -> Int? {
        guard bytes.count == 4 else { return nil }
        return Int(Int32(bitPattern: bytes.reduce(0) { $0 << 8 | UInt32($1) }))
    }
}
