/// The two numbers by which a store tells a stale fencing token from a valid one.
///
/// Holders of shared grants, such as processors whose gates are open, have different tokens at the same time. A store that
/// refused every token below the highest one would refuse some of them. The rule is:
///
/// - A **shared** token must be at least the highest *exclusive* token that has written.
/// - An **exclusive** token must be at least the highest token that has written, of either kind.
///
/// So a processor that slept through a window cannot write after the window has written, and a window that slept into the
/// resumed events cannot write after one of them has written. Equal tokens are accepted: one holder may write many times.
///
/// ``FencedNode``, ``FencedFile`` and ``FencedSQL`` follow the rule. A store of your own keeps both numbers beside its data,
/// asks ``accept(_:)``, and changes both in the transaction that writes the data.
public struct FencingRegisters: Sendable, Hashable, CustomStringConvertible {
    /// The highest token that has written; `nil` before the first.
    public private(set) var highest: FencingToken?
    /// The highest exclusive token that has written; `nil` before the first.
    public private(set) var highestExclusive: FencingToken?

    /// Makes registers of a store that nobody has written to.
    public init() {}

    /// Makes registers from numbers that were stored.
    ///
    /// - Parameters:
    ///   - highest: The highest token that has written.
    ///   - highestExclusive: The highest exclusive one.
    public init(highest: FencingToken?, highestExclusive: FencingToken?) {
        self.highest = highest
        self.highestExclusive = highestExclusive
    }

    /// Returns the token that refuses a write with this one; `nil` if the write may happen.
    public func refusal(of token: FencingToken) -> FencingToken? {
        let least = token.kind == .shared ? highestExclusive : highest
        guard let least, token < least else { return nil }
        return least
    }

    /// Records a write, unless its token is stale.
    ///
    /// - Returns: Whether the write may happen.
    public mutating func accept(_ token: FencingToken) -> Bool {
        guard refusal(of: token) == nil else { return false }
        highest = max(highest ?? token, token)
        if token.kind == .exclusive { highestExclusive = token }
        return true
    }

    /// Both numbers in decimal digits, the highest token first; one number if they are equal, and 0 for none.
    public var description: String {
        let (all, exclusive) = (highest?.rawValue ?? 0, highestExclusive?.rawValue ?? 0)
        return all == exclusive ? "\(all)" : "\(all) \(exclusive)"
    }

    /// Reads what ``description`` has written.
    public init?(_ text: some StringProtocol) {
        let numbers = text.split(separator: " ", omittingEmptySubsequences: false).map { Int64($0) }
        guard (1...2).contains(numbers.count), let all = numbers[0], let exclusive = numbers[numbers.count - 1],
            exclusive >= 0, all >= exclusive
        else { return nil }
        self.init(
            highest: all == 0 ? nil : FencingToken(rawValue: all, kind: all == exclusive ? .exclusive : .shared),
            highestExclusive: exclusive == 0 ? nil : FencingToken(rawValue: exclusive))
    }
}
