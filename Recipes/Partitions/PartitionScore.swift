/// Where the hash of a partition's and a node's names puts the partition: the same on every machine.
///
/// FNV-1a of each name's UTF-8, 64 bits, mixed by SplitMix64; the two of a pair are mixed once more together. The cost is
/// -ln(*h*) / *weight* for the hash *h* as a number between 0 and 1: a partition belongs where it is the least. That is
/// weighted rendezvous hashing: nodes win in proportion to their weights, and a node that comes or goes changes the cost
/// of no other.
enum PartitionScore {
    static func hash(_ name: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return mixed(hash)
    }

    /// What the partition costs on a node, by the hashes of both names; `nil` where it is surely over a limit, as most
    /// nodes' costs are, which spares the logarithm.
    ///
    /// -ln(*h*) is at least 1 - *h*. The factor keeps what rounding does to either on the safe side, so that the nodes
    /// chosen are those that the costs alone would choose.
    @inline(__always)
    static func cost(_ partition: UInt64, _ node: UInt64, weight: Double, limit: Double) -> Double? {
        let hash = uniform(partition, node)
        if (1 - hash) * 0.999999 > limit * weight { return nil }
        return -naturalLogarithm(hash) / weight
    }

    /// A number over 0 and under 1, in steps that a double holds exactly.
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

    /// The logarithm by sums and products alone, which give the same bits everywhere; a C library's may not.
    ///
    /// The series of 2 artanh((m - 1) / (m + 1)) for m between 0.7 and 1.42, right to 13 digits.
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
