/// A store that refuses whom somebody with a higher token has overtaken.
///
/// Readers may overtake one another; nobody may come after a writer with a higher token, and no writer after anybody.
struct FencedStore {
    private var highestWriter: Int64 = .min
    private var highestReader: Int64 = .min

    /// Says whether the store takes what somebody does.
    mutating func accept(_ token: Int64, writes: Bool) -> Bool {
        guard token >= highestWriter, !writes || token >= highestReader else { return false }
        if writes { highestWriter = token } else { highestReader = max(highestReader, token) }
        return true
    }
}
