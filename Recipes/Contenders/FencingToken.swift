/// A number that grows with each grant of a resource.
///
/// Hand it to what the holder writes to: a store that refuses a token lower than the highest it has seen cannot be
/// damaged by a holder that has slept through the end of its grant.
///
/// Tokens of one resource compare; those of different resources say nothing about each other.
public struct FencingToken: RawRepresentable, Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The number, for a store's own column or header.
    public var rawValue: Int64

    /// Makes a token from a number that was stored.
    public init(rawValue: Int64) {
        self.rawValue = rawValue
    }

    /// The number in decimal digits.
    public var description: String { String(rawValue) }

    /// Whether one grant was made before another.
    public static func < (left: FencingToken, right: FencingToken) -> Bool {
        left.rawValue < right.rawValue
    }
}
