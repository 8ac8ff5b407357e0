/// A transaction number of the ensemble.
///
/// It increases with every committed write, across all znodes, sessions and restarts.
public struct ZXID: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The number in the server's format: the leader's epoch in the upper half, the leader's counter in the lower half.
    public var rawValue: Int64

    /// Creates a transaction number from the server's format.
    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    /// The number in hexadecimal, as in the server's log.
    public var description: String {
        "0x" + String(UInt64(bitPattern: rawValue), radix: 16)
    }

    /// Whether a transaction was committed before another one.
    public static func < (left: ZXID, right: ZXID) -> Bool {
        left.rawValue < right.rawValue
    }
}
