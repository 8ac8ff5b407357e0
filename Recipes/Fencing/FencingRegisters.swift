/// The two numbers with which a store distinguishes stale fencing tokens from valid ones.
///
/// Holders of shared grants, such as processors with open gates, have different tokens at the same time. If a store
/// refused every token below the highest one, it would refuse some valid ones. The rule is therefore:
///
/// - A **shared** token must be at least the highest *exclusive* token that has written.
/// - An **exclusive** token must be at least the highest token of either kind that has written.
///
/// A processor that was suspended during a window cannot write after the window has written. A window that was
/// suspended until events were resumed cannot write after one of these events has written. Equal tokens are accepted,
/// because one holder may write many times.
///
/// ``FencedNode``, ``FencedFile`` and ``FencedSQL`` follow this rule. If you implement a store yourself, keep both
/// numbers with its data, call ``accept(_:)``, and store both numbers in the transaction that writes the data.
public struct FencingRegisters: Sendable, Hashable, CustomStringConvertible {
    /// The highest token that has written; `nil` if there is none.
    public private(set) var highest: FencingToken?
    /// The highest exclusive token that has written; `nil` if there is none.
    public private(set) var highestExclusive: FencingToken?

    /// Creates the registers of a store that has never been written.
    public init() {}

    /// Creates registers from stored numbers.
    ///
    /// - Parameters:
    ///   - highest: The highest token that has written; `nil` if there is none.
    ///   - highestExclusive: The highest exclusive token that has written; `nil` if there is none.
    public init(highest: FencingToken?, highestExclusive: FencingToken?) {
        self.highest = highest
        self.highestExclusive = highestExclusive
    }

    /// Checks a write without recording it.
    ///
    /// - Parameter token: The token of the write.
    /// - Returns: The higher token that causes the write to be refused; `nil` if the write is valid.
    public func refusal(of token: FencingToken) -> FencingToken? {
        let least = token.kind == .shared ? highestExclusive : highest
        guard let least, token < least else { return nil }
        return least
    }

    /// Records a write, unless its token is stale.
    ///
    /// - Parameter token: The token of the write.
    /// - Returns: Whether the write is valid.
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

    /// Parses a ``description``; `nil` if the text has another format.
    ///
    /// - Parameter text: The text to parse.
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
