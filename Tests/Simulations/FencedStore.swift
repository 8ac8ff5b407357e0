import ZooKeeperRecipes

/// A store that refuses stale tokens, as users' stores are told to.
struct FencedStore {
    private var registers = FencingRegisters()

    /// Says whether the store takes what somebody does.
    mutating func accept(_ token: Int64, writes: Bool) -> Bool {
        registers.accept(FencingToken(rawValue: token, kind: writes ? .exclusive : .shared))
    }
}
