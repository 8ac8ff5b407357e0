import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct SharedCountFormatTests {
    @Test(
        arguments: [
            (0, [0, 0, 0, 0]), (1, [0, 0, 0, 1]), (-1, [255, 255, 255, 255]), (0x0102_0304, [1, 2, 3, 4]),
            (Int64(Int32.min), [128, 0, 0, 0]),
        ] as [(Int64, [UInt8])])
    func `SharedCount's four bytes are big-endian`(number: Int64, data: [UInt8]) {
        #expect(SharedCount.Format.int32.encode(number) == data)
        #expect(SharedCount.Format.int32.decode(data) == number)
    }

    @Test(
        arguments: [
            (0, [0, 0, 0, 0, 0, 0, 0, 0]), (-2, [255, 255, 255, 255, 255, 255, 255, 254]),
            (Int64.max, [127, 255, 255, 255, 255, 255, 255, 255]), (0x0102_0304_0506_0708, [1, 2, 3, 4, 5, 6, 7, 8]),
        ] as [(Int64, [UInt8])])
    func `DistributedAtomicLong's eight bytes are big-endian`(number: Int64, data: [UInt8]) {
        #expect(SharedCount.Format.int64.encode(number) == data)
        #expect(SharedCount.Format.int64.decode(data) == number)
    }

    @Test func `what does not fit is not encoded, what has another length is no number, nothing is zero`() {
        #expect(SharedCount.Format.int32.encode(Int64(Int32.max) + 1) == nil)
        #expect(SharedCount.Format.int32.decode([1, 2, 3]) == nil)
        #expect(SharedCount.Format.int64.decode([0, 0, 0, 1]) == nil)
        #expect(SharedCount.Format.int64.decode([]) == 0)
    }
}

@Suite struct WriteOutcomeTests {
    private func value(_ data: [UInt8], version: Int32, mzxid: Int64, czxid: Int64 = 1) -> VersionedValue {
        VersionedValue(
            data: data,
            stat: ZNodeStat(
                czxid: ZXID(rawValue: czxid), mzxid: ZXID(rawValue: mzxid), pzxid: ZXID(rawValue: czxid),
                dataVersion: version))
    }

    @Test func `a lost answer is resolved only where what is there proves it`() {
        let known = value([1], version: 3, mzxid: 10)
        func outcome(_ present: VersionedValue?) -> WriteOutcome {
            WriteOutcome(of: [2], replacing: known, present: present)
        }
        #expect(outcome(known) == .untouched)
        #expect(outcome(value([9], version: 4, mzxid: 11)) == .replacedByOther)
        // The own write, or the same one by somebody else: an addition must not count twice, nor be lost.
        #expect(outcome(value([2], version: 4, mzxid: 11)) == .equal)
        #expect(outcome(value([9], version: 5, mzxid: 12)) == .unknown)
        #expect(outcome(value([9], version: 4, mzxid: 30, czxid: 20)) == .unknown)
        #expect(outcome(value([1], version: 3, mzxid: 30, czxid: 20)) == .unknown)
        #expect(outcome(nil) == .unknown)
    }

    @Test func `a lost answer to a creation is resolved only where what is there proves it`() {
        func outcome(_ present: VersionedValue?) -> WriteOutcome {
            WriteOutcome(of: [2], replacing: nil, present: present)
        }
        #expect(outcome(nil) == .untouched)
        #expect(outcome(value([2], version: 0, mzxid: 5)) == .equal)
        #expect(outcome(value([9], version: 0, mzxid: 5)) == .replacedByOther)
        #expect(outcome(value([9], version: 1, mzxid: 6)) == .unknown)
    }
}
