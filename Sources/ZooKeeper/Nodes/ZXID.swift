/// A transaction number of the ensemble.
///
/// It grows with every committed write, across all znodes, sessions and restarts.
public struct ZXID: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The number as the server counts it: the leader's epoch in the upper half, its counter in the lower.
    public var rawValue: Int64

    /// Makes a transaction number from the server's form.
    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    /// The number in hexadecimal, as the server's log writes it.
    public var description: String {
        "0x" + String(UInt64(bitPattern: rawValue), radix: 16)
    }

    /// Whether one transaction was committed before another.
    public static func < (left: ZXID, right: ZXID) -> Bool {
        left.rawValue < right.rawValue
    }
}
