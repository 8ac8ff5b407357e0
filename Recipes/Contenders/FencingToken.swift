/// A number that grows with each grant of a resource that excludes an earlier grant.
///
/// Hand it to the store that the holder writes to. A store that refuses stale tokens cannot be damaged by a holder that has
/// slept through the end of its grant. ``FencingRegisters`` has the rule.
///
/// Tokens of one resource are comparable. Tokens of different resources say nothing about each other.
public struct FencingToken: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Whether other grants of the resource can be valid at the same time.
    public enum Kind: Sendable, Hashable {
        /// The grant excludes all others: a mutex, a write lock, a term of leadership, a window, a scheduled run.
        case exclusive
        /// The grant excludes exclusive ones only: a read lock, a permit of a gate, a lease of a semaphore.
        ///
        /// Holders of shared grants have different tokens at the same time, and all of them may write.
        case shared
    }

    /// The number, for a store's own column or header.
    public var rawValue: Int64
    /// Whether other grants can be valid at the same time.
    public var kind: Kind

    /// Makes the token of an exclusive grant from a number that was stored.
    public init(rawValue: Int64) {
        self.init(rawValue: rawValue, kind: .exclusive)
    }

    /// Makes a token from a number that was stored.
    public init(rawValue: Int64, kind: Kind) {
        self.rawValue = rawValue
        self.kind = kind
    }

    /// The number in decimal digits.
    public var description: String { String(rawValue) }

    /// Whether the numbers are equal; kinds are not compared.
    public static func == (left: FencingToken, right: FencingToken) -> Bool {
        left.rawValue == right.rawValue
    }

    /// Hashes the number.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(rawValue)
    }

    /// Whether one grant was made before another.
    public static func < (left: FencingToken, right: FencingToken) -> Bool {
        left.rawValue < right.rawValue
    }
}
