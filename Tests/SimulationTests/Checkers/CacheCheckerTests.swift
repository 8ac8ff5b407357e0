import Testing
import ZooKeeper
import ZooKeeperSimulator

@Suite struct CacheCheckerTests {
    @Test func `an empty history breaks nothing`() {
        #expect(CacheChecker().violations(in: []).isEmpty)
    }

    @Test func `caches that follow, each at its pace, are accepted`() {
        let good: [Deed<CacheAction>] = [
            (0, "a", .saw(.absent)), (1, "server", .create(10)), (2, "a", .saw(.node(10, 10))),
            (3, "server", .change(11)), (4, "server", .change(12)), (4, "slow", .saw(.node(10, 11))),
            // Leaves a version out; sees a deletion; sees the new node without the deletion.
            (5, "a", .saw(.node(10, 12))), (5, "a", .saw(.node(10, 12))), (6, "server", .delete(13)),
            (7, "a", .saw(.absent)), (8, "server", .create(14)), (9, "a", .saw(.node(14, 14))),
            (9, "slow", .saw(.node(14, 14))), (10, "gone", .saw(.node(10, 11))), (10, "gone", .closed),
            (11, "server", .change(15)), (12, "server", .delete(16)), (13, "a", .saw(.absent)),
            (14, "slow", .saw(.node(14, 15))), (15, "slow", .saw(.absent)), (16, "late", .saw(.absent)),
        ]
        #expect(CacheChecker().violations(in: history(good)) == [])
    }

    static let bugs: [Planted<CacheAction>] = [
        Planted(
            "answer of a lagging server taken after reconnecting", breaks: CacheChecker.order,
            in: [
                (1, "server", .create(10)), (2, "server", .change(11)), (3, "a", .saw(.node(10, 11))),
                (4, "a", .saw(.node(10, 10))), (5, "a", .saw(.node(10, 11))),
            ]),
        Planted(
            "late answer of the look before overwrites the deletion", breaks: CacheChecker.order,
            in: [
                (1, "server", .create(10)), (2, "a", .saw(.node(10, 10))), (3, "server", .delete(11)),
                (4, "a", .saw(.absent)), (5, "a", .saw(.node(10, 10))), (6, "a", .saw(.absent)),
            ]),
        Planted(
            "shown as absent while connecting", breaks: CacheChecker.order,
            in: [(1, "server", .create(10)), (2, "a", .saw(.node(10, 10))), (3, "a", .saw(.absent))]),
        Planted(
            "watch not set again", breaks: CacheChecker.completeness,
            in: [(1, "server", .create(10)), (2, "a", .saw(.node(10, 10))), (3, "server", .change(11))]),
        Planted(
            "deletion taken for a lost connection", breaks: CacheChecker.completeness,
            in: [(1, "server", .create(10)), (2, "a", .saw(.node(10, 10))), (3, "server", .delete(11))]),
        Planted(
            "stat of the old node kept when it is created again", breaks: CacheChecker.completeness,
            CacheChecker.identity,
            in: [
                (1, "server", .create(10)), (2, "a", .saw(.node(10, 10))), (3, "server", .delete(11)),
                (4, "server", .create(12)), (5, "a", .saw(.node(10, 12))),
            ]),
        Planted(
            "recreation not told apart: the old node is still shown", breaks: CacheChecker.completeness,
            in: [
                (1, "server", .create(10)), (2, "a", .saw(.node(10, 10))), (3, "server", .delete(11)),
                (4, "server", .create(12)), (5, "a", .saw(.node(10, 10))),
            ]),
        Planted(
            "own write shown before it is committed", breaks: CacheChecker.truth,
            in: [
                (1, "server", .create(10)), (2, "a", .saw(.node(10, 11))), (3, "server", .change(11)),
                (4, "a", .saw(.node(10, 11))),
            ]),
        Planted(
            "write that was rolled back is shown", breaks: CacheChecker.truth,
            in: [
                (1, "server", .create(10)), (2, "a", .saw(.node(10, 99))), (3, "a", .saw(.node(10, 10))),
            ]),
    ]

    @Test(arguments: bugs) func `a bug in the cache is found`(planted: Planted<CacheAction>) {
        planted.expectRejection(by: CacheChecker())
    }

    @Test func `a cache that was closed may begin anew`() {
        let deeds: [Deed<CacheAction>] = [
            (1, "server", .create(10)), (2, "server", .change(11)), (3, "a", .saw(.node(10, 11))), (4, "a", .closed),
            (5, "a", .saw(.node(10, 10))), (6, "a", .saw(.node(10, 11))),
        ]
        #expect(CacheChecker().violations(in: history(deeds)) == [])
    }
}

extension CacheAction {
    static func create(_ zxid: Int64) -> Self { .created(ZXID(rawValue: zxid)) }
    static func change(_ zxid: Int64) -> Self { .changed(ZXID(rawValue: zxid)) }
    static func delete(_ zxid: Int64) -> Self { .deleted(ZXID(rawValue: zxid)) }
}

extension CacheAction.State {
    static func node(_ czxid: Int64, _ mzxid: Int64) -> Self {
        .present(czxid: ZXID(rawValue: czxid), mzxid: ZXID(rawValue: mzxid))
    }
}
