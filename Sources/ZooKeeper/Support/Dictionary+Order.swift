extension Dictionary where Key: Comparable {
    /// The values in the order of their keys.
    ///
    /// The order of a dictionary changes from run to run. Code that notifies several observers uses this order instead,
    /// so that the same inputs always lead to the same outputs in the same order.
    package var orderedValues: [Value] {
        count < 2 ? Array(values) : sorted { $0.key < $1.key }.map { $0.value }
    }
}
