import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A znode that refuses stale tokens.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct FencedNodeTests {
    private static func token(_ number: Int64) -> FencingToken { FencingToken(rawValue: number) }

    @Test func `a lower token than the highest is refused, and counted`() async throws {
        try await LockScene.with { scene in
            let near = try FencedNode(client: scene.client, path: "/data/value")
            let far = try FencedNode(client: scene.other, path: "/data/value")
            #expect(try await near.read() == nil)
            try await near.write([1], token: Self.token(5))
            try await near.write([2], token: Self.token(5))
            try await far.write([10, 0], token: Self.token(7))
            let error = await #expect(throws: FencingError.self) { try await near.write([3], token: Self.token(6)) }
            #expect(error?.code == .staleToken && error?.highest == Self.token(7) && error?.token == Self.token(6))
            let content = try await near.read()
            #expect(content?.value == [10, 0] && content?.registers.highest == Self.token(7) && content?.version == 2)
            #expect(near.counts.accepted == 2 && near.counts.rejected == 1 && far.counts.accepted == 1)
            #expect(try await scene.other.data(at: "/data/value").data == Array("token=7\n".utf8) + [10, 0])
        }
    }

    @Test func `concurrent updates with one token lose nothing`() async throws {
        try await LockScene.with { scene in
            let nodes = [
                try FencedNode(client: scene.client, path: "/count"),
                try FencedNode(client: scene.other, path: "/count"),
            ]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for node in nodes {
                    group.addTask {
                        for _ in 0..<20 { try await node.update(token: Self.token(1)) { [($0?.first ?? 0) + 1] } }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await nodes[0].read()?.value == [40])
        }
    }

    @Test(arguments: [false, true]) func `a write whose answer is lost is made once`(isDone: Bool) async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let node = try FencedNode(client: scene.client, path: "/value")
            try await node.write([1], token: Self.token(1))
            if isDone {
                await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .multi }
            } else {
                await scene.proxy.dropNextRequest(thenCut: true) { $0.operation == .multi }
            }
            try await node.write([2], token: Self.token(2))
            let content = try await node.read()
            #expect(content?.value == [2] && content?.version == 1)
            #expect(node.counts.accepted == 2)
        }
    }

    @Test func `processors whose gates are open together all write, and none after a window has`() async throws {
        try await LockScene.with { scene in
            let node = try FencedNode(client: scene.client, path: "/value")
            let (first, second) = (try await scene.lock.permit(), try await scene.otherLock.permit())
            #expect(first < second)
            try await node.write([2], token: second)
            try await node.write([1], token: first)
            try await scene.otherLock.withWriteLock { lease in try await node.write([3], token: lease.fencingToken) }
            for token in [first, second] {
                let error = await #expect(throws: FencingError.self) { try await node.write([4], token: token) }
                #expect(error?.code == .staleToken)
            }
            #expect(try await node.read()?.value == [3])
        }
    }

    @Test func `an update whose answer is lost is applied once, however late the write comes`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let node = try FencedNode(client: scene.client, path: "/count")
            for number in 0..<20 {
                if number.isMultiple(of: 2) {
                    await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .multi }
                } else {
                    await scene.proxy.dropNextRequest(thenCut: true) { $0.operation == .multi }
                }
                try await node.update(token: Self.token(1)) { [($0?.first ?? 0) + 1] }
            }
            #expect(try await node.read()?.value == [20])
        }
    }

    @Test func `a write under a lock that is lost is refused, though nobody has written since`() async throws {
        try await LockScene.with { scene in
            let node = try FencedNode(client: scene.client, path: "/value")
            let lease = try await scene.mutex.acquire()
            try await node.write([1], under: lease)
            #expect(try await node.read()?.registers.highest == lease.fencingToken)
            try await scene.other.delete(scene.path(scene.contenders()[0]))
            let error = await #expect(throws: RecipeError.self) { try await node.write([2], under: lease) }
            #expect(error?.code == .lost)
            #expect(try await node.read()?.value == [1])
            await lease.release()
        }
    }

    @Test func `what others have written is not overwritten`() async throws {
        try await LockScene.with { scene in
            try await scene.other.create("/value", data: Array("text".utf8))
            let node = try FencedNode(client: scene.client, path: "/value")
            let error = await #expect(throws: FencingError.self) { try await node.write([1], token: Self.token(1)) }
            #expect(error?.code == .unreadable)
            try await scene.other.setData([], at: "/value")
            try await node.write([1], token: Self.token(1))
            #expect(try await node.read()?.value == [1])
        }
    }
}

extension DistributedReadWriteLock {
    /// The token of a read lock that is held for a moment.
    fileprivate func permit() async throws -> FencingToken {
        try await withReadLock { lease in lease.fencingToken }
    }
}
