import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

@Suite(.serialized, .timeLimit(.minutes(2)))
struct SharedCountTests {
    @Test func `additions of many add up, and the bytes are Curator's`() async throws {
        try await CacheScene.with { scene in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<8 {
                    let client = index.isMultiple(of: 2) ? scene.client : scene.other
                    group.addTask {
                        let counter = try SharedCount(client: client, path: "/app/count", format: .int64)
                        for _ in 0..<10 { try await counter.add(3) }
                    }
                }
                try await group.waitForAll()
            }
            let counter = try SharedCount(client: scene.client, path: "/app/count", format: .int64)
            #expect(try await counter.value() == 240)
            #expect(try await scene.other.data(at: "/app/count").data == [0, 0, 0, 0, 0, 0, 0, 240])
            #expect(try await counter.set(5, replacing: 240))
            #expect(try await counter.set(6, replacing: 240) == false)
            #expect(try await counter.update { $0 * 2 } == 10)
        }
    }

    @Test func `an overflow is an error, and nothing is written`() async throws {
        try await CacheScene.with { scene in
            let small = try SharedCount(
                client: scene.client, path: "/small", format: .int32, initial: Int64(Int32.max))
            let large = try SharedCount(client: scene.client, path: "/large", format: .int64, initial: Int64.max - 1)
            #expect(try await large.add(1) == .max)
            for counter in [small, large] {
                let before = try await counter.value()
                do {
                    try await counter.add(1)
                    Issue.record("no overflow")
                } catch let error as RecipeError {
                    #expect(error.code == .overflow)
                }
                #expect(try await counter.value() == before)
            }
            try await scene.other.setData([1, 2, 3], at: "/small")
            do {
                _ = try await small.value()
                Issue.record("three bytes are no number")
            } catch let error as RecipeError {
                #expect(error.code == .unreadable)
            }
        }
    }

    @Test func `an addition whose answer is lost is told to be unknown, one that never arrived is made again`()
        async throws
    {
        try await CacheScene.with(sessionTimeout: .seconds(10)) { scene in
            let counter = try SharedCount(client: scene.client, path: "/count", format: .int32)
            #expect(try await counter.add(1) == 1)
            await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .setData }
            do {
                try await counter.add(1)
                Issue.record("the outcome was taken for known")
            } catch let error as RecipeError {
                #expect(error.code == .outcomeUnknown)
                #expect(error.currentValue?.data == [0, 0, 0, 2])
            }
            await scene.proxy.dropNextRequest(thenCut: true) { $0.operation == .setData }
            #expect(try await counter.add(1) == 3)
            #expect(try await counter.value() == 3)
        }
    }

    @Test func `a counter that is deleted in between is created anew`() async throws {
        try await CacheScene.with { scene in
            let counter = try SharedCount(client: scene.client, path: "/count", format: .int64, initial: 100)
            #expect(try await counter.add(1) == 101)
            try await scene.other.delete("/count")
            #expect(try await counter.add(1) == 101)
        }
    }

    @Test func `changes are live, or stale since the connection was lost`() async throws {
        try await CacheScene.with { scene in
            let counter = try SharedCount(client: scene.client, path: "/count", format: .int64)
            _ = try await counter.value()
            let far = try SharedCount(client: scene.other, path: "/count", format: .int64)
            try await counter.withChanges { changes in
                var iterator = changes.makeAsyncIterator()
                while let entry = await iterator.next(), !(entry.isLive && entry.value == 0) {}
                try await far.add(7)
                while let entry = await iterator.next(), !(entry.isLive && entry.value == 7) {}
                await scene.proxy.refuse()
                await scene.proxy.cut()
                let stale = await iterator.next()
                #expect(stale?.value == 7 && stale?.isLive == false)
                await scene.proxy.accept()
                let live = await iterator.next()
                #expect(live?.value == 7 && live?.isLive == true)
            }
        }
    }

    @Test func `an addition waits for the server no longer than it may`() async throws {
        try await CacheScene.with { scene in
            let counter = try SharedCount(client: scene.client, path: "/count", format: .int64)
            _ = try await counter.value()
            await scene.proxy.hold()
            do {
                try await counter.add(1, timeout: .milliseconds(200))
                Issue.record("it did not wait")
            } catch let error as RecipeError {
                #expect(error.code == .timedOut)
            }
            await scene.proxy.release()
        }
    }
}
