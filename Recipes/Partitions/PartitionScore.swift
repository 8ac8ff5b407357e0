/// The cost of a partition on a node, computed from the hashes of their names.
///
/// It is the same on every machine.
///
/// Each name is hashed with FNV-1a over its UTF-8 bytes, 64 bits, and mixed with SplitMix64. The two hashes of a pair
/// are combined and mixed once more. The cost is -ln(*h*) / *weight* for the hash *h* as a number between 0 and 1. The
/// node with the lowest cost gets the partition. This is weighted rendezvous hashing: nodes get partitions in
/// proportion to their weights, and a node that joins or leaves does not change the cost of any other node.
enum PartitionScore {
    static func hash(_ name: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return mixed(hash)
    }

    /// Returns the cost of a partition on a node, from the hashes of both names; `nil` if it certainly exceeds a limit.
    ///
    /// The cost of most nodes exceeds the limit, so most calls avoid the logarithm: -ln(*h*) is at least 1 - *h*. The
    /// factor compensates for rounding errors, so that the selected nodes are those that the exact comparison would
    /// select.
    @inline(__always)
    static func cost(_ partition: UInt64, _ node: UInt64, weight: Double, limit: Double) -> Double? {
        let hash = uniform(partition, node)
        if (1 - hash) * 0.999999 > limit * weight { return nil }
        return -naturalLogarithm(hash) / weight
    }

    /// Returns a number over 0 and under 1, in steps that a `Double` represents exactly.
    @inline(__always)
    private static func uniform(_ partition: UInt64, _ node: UInt64) -> Double {
        (Double(mixed(partition &+ (node ^ 0x9e37_79b9_7f4a_7c15)) >> 12) + 0.5) * 0x1p-52
    }

    @inline(__always)
    private static func mixed(_ word: UInt64) -> UInt64 {
        var mixed = word
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// Returns the natural logarithm, computed only with sums and products, so that the bits are the same on every
    /// machine.
    ///
    /// The result of a C library may differ between machines. This is the series of 2 artanh((m - 1) / (m + 1)) for m
    /// between 0.7 and 1.42, accurate to 13 digits.
    @inline(__always)
    static func naturalLogarithm(_ value: Double) -> Double {
        var exponent = Double(value.exponent)
        var significand = value.significand
        if significand > 1.4142135623730951 {
            significand *= 0.5
            exponent += 1
        }
        let ratio = (significand - 1) / (significand + 1)
        let square = ratio * ratio
        var sum = 1.0 / 15
        sum = sum * square + 1.0 / 13
        sum = sum * square + 1.0 / 11
        sum = sum * square + 1.0 / 9
        sum = sum * square + 1.0 / 7
        sum = sum * square + 1.0 / 5
        sum = sum * square + 1.0 / 3
        sum = sum * square + 1
        return exponent * 0.6931471805599453 + 2 * ratio * sum
    }
}
