import Testing
import ZooKeeperTransport

@testable import ZooKeeper

@Suite
struct ZNodeStatTests {
    private func owner(_ field: Int64) -> SessionID? {
        ZNodeStat(
            TransportStat(
                czxid: 1, mzxid: 2, pzxid: 3, ctime: 4, mtime: 5, version: 6, cversion: 7, aversion: 8,
                ephemeralOwner: field, dataLength: 9, numChildren: 10)
        ).ephemeralOwner
    }

    @Test(
        arguments: [
            0x0100_0000_0000_0001, 1, Int64.max, Int64(bitPattern: 0xfe00_0000_0000_0001),
            Int64(bitPattern: 0x8000_0000_0000_0001),
        ] as [Int64])
    func `an ephemeral znode's owner is its session`(field: Int64) {
        #expect(owner(field) == SessionID(rawValue: field))
    }

    @Test(
        arguments: [
            0, Int64.min, Int64(bitPattern: 0xff00_0000_0000_03e8), Int64(bitPattern: 0xff00_00ff_ffff_ffff), -1,
        ] as [Int64])
    func `persistent, container and TTL znodes have no owner`(field: Int64) {
        #expect(owner(field) == nil)
    }

    @Test func `every field is taken over`() {
        let stat = ZNodeStat(
            TransportStat(
                czxid: 1, mzxid: 2, pzxid: 3, ctime: 4, mtime: 5, version: 6, cversion: 7, aversion: 8,
                ephemeralOwner: 0, dataLength: 9, numChildren: 10))
        #expect(
            stat
                == ZNodeStat(
                    czxid: ZXID(rawValue: 1), mzxid: ZXID(rawValue: 2), pzxid: ZXID(rawValue: 3),
                    ctime: Timestamp(millisecondsSince1970: 4), mtime: Timestamp(millisecondsSince1970: 5),
                    dataVersion: 6, childrenVersion: 7,
                    aclVersion: 8, dataLength: 9, childrenCount: 10))
    }
}

@Suite
struct CreateModeTests {
    private static let longest: Int64 = 1_099_511_627_775

    @Test(
        arguments: [
            (Duration.milliseconds(1), 1), (.seconds(60), 60_000), (.microseconds(1500), 1),
            (.milliseconds(longest), longest),
        ] as [(Duration, Int64)])
    func `a time to live is sent in whole milliseconds`(lifetime: Duration, milliseconds: Int64) throws {
        #expect(try CreateMode.persistent(timeToLive: lifetime).transport() == .persistentWithTTL(milliseconds))
        let sequential = CreateMode.persistentSequential(timeToLive: lifetime)
        #expect(try sequential.transport() == .persistentSequentialWithTTL(milliseconds))
        #expect(sequential.isSequential && !sequential.isEphemeral)
    }

    @Test(arguments: [
        Duration.zero, .microseconds(999), .milliseconds(-1), .milliseconds(longest + 1), .seconds(Int64.max),
        .seconds(Int64.min),
    ])
    func `a time to live beyond the server's limits is refused`(lifetime: Duration) {
        for mode in [CreateMode.persistent(timeToLive: lifetime), .persistentSequential(timeToLive: lifetime)] {
            let error = zooKeeperError { _ = try mode.transport() }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message?.contains("from 1 ms to 1099511627775 ms") == true)
        }
    }

    @Test func `modes know whether they are ephemeral and numbered`() {
        #expect(CreateMode.ephemeral.isEphemeral && !CreateMode.ephemeral.isSequential)
        #expect(CreateMode.ephemeralSequential.isEphemeral && CreateMode.ephemeralSequential.isSequential)
        #expect(!CreateMode.persistentSequential.isEphemeral && CreateMode.persistentSequential.isSequential)
        for mode in [CreateMode.persistent, .container, .persistent(timeToLive: .seconds(1))] {
            #expect(!mode.isEphemeral && !mode.isSequential)
        }
    }
}
