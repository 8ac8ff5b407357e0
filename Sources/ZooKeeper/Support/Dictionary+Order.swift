extension Dictionary where Key: Comparable {
    /// The values in the order of their keys.
    ///
    /// A dictionary's own order changes from run to run: whoever tells many goes by this, so that the same inputs always
    /// lead to the same outputs in the same order.
    package var orderedValues: [Value] {
        count < 2 ? Array(values) : sorted { $0.key < $1.key }.map(\.value)
    }
}
