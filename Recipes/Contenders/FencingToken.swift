/// A number that increases with each grant that excludes an earlier grant of the same resource.
///
/// Pass it to the store that the holder writes to. A store that refuses stale tokens is safe from a holder that was
/// suspended beyond the end of its grant. ``FencingRegisters`` describes the rule.
///
/// Tokens of one resource are comparable. Tokens of different resources are not related.
public struct FencingToken: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Whether other grants of the resource can be valid at the same time.
    public enum Kind: Sendable, Hashable {
        /// The grant excludes all others: a mutex, a write lock, a term of leadership, a window, a scheduled run.
        case exclusive
        /// The grant excludes only exclusive grants: a read lock, a permit of a gate, a lease of a semaphore.
        ///
        /// Holders of shared grants have different tokens at the same time, and all of them may write.
        case shared
    }

    /// The number, for example for a column or a header of the store.
    public var rawValue: Int64
    /// Whether other grants can be valid at the same time.
    public var kind: Kind

    /// Creates the token of an exclusive grant from a stored number.
    public init(rawValue: Int64) {
        self.init(rawValue: rawValue, kind: .exclusive)
    }

    /// Creates a token from a stored number.
    public init(rawValue: Int64, kind: Kind) {
        self.rawValue = rawValue
        self.kind = kind
    }

    /// The number in decimal digits.
    public var description: String { String(rawValue) }

    /// Returns whether the numbers are equal; kinds are not compared.
    public static func == (left: FencingToken, right: FencingToken) -> Bool {
        left.rawValue == right.rawValue
    }

    /// Hashes the number.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(rawValue)
    }

    /// Returns whether one grant was made before another.
    public static func < (left: FencingToken, right: FencingToken) -> Bool {
        left.rawValue < right.rawValue
    }
}
