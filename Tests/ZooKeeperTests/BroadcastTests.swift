import Testing

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct BroadcastTests {
    private func all<Value>(_ sequence: AsyncStream<Value>) async -> [Value] {
        var values: [Value] = []
        for await value in sequence { values.append(value) }
        return values
    }

    @Test func `a follower gets the current value first and then each change in order`() async {
        let broadcast = Broadcast(0)
        broadcast.send(1)
        let follower = broadcast.follow()
        for value in 2...100 { broadcast.send(value) }
        broadcast.finish()
        #expect(await all(follower) == Array(1...100))
    }

    @Test func `the last value comes before the end`() async {
        let broadcast = Broadcast("a")
        let follower = broadcast.follow()
        broadcast.finish("z")
        #expect(await all(follower) == ["a", "z"])
        #expect(broadcast.current == "z")
    }

    @Test func `a late follower gets the last value and the end`() async {
        let broadcast = Broadcast(0)
        broadcast.send(1)
        broadcast.finish(2)
        #expect(await all(broadcast.follow()) == [2])
        #expect(await all(broadcast.follow(.bufferingNewest(1))) == [2])
    }

    @Test func `a broadcast that keeps several values tells a late follower the newest of them`() async {
        let broadcast = Broadcast<Int>(keeping: 3)
        let early = broadcast.follow()
        for value in 1...5 { broadcast.send(value) }
        broadcast.finish()
        #expect(await all(early) == [1, 2, 3, 4, 5])
        #expect(await all(broadcast.follow()) == [3, 4, 5])
    }

    @Test func `nothing is sent after the end`() async {
        let broadcast = Broadcast(0)
        let follower = broadcast.follow()
        broadcast.finish(1)
        broadcast.send(2)
        broadcast.finish(3)
        #expect(await all(follower) == [0, 1])
        #expect(broadcast.current == 1)
    }

    @Test func `who wants only the newest gets the newest`() async {
        let broadcast = Broadcast(0)
        let follower = broadcast.follow(.bufferingNewest(1))
        for value in 1...10 { broadcast.send(value) }
        broadcast.finish()
        #expect(await all(follower) == [10])
    }

    @Test func `what was enqueued is current at once, and delivered later in order`() async {
        let broadcast = Broadcast(0)
        let follower = broadcast.follow()
        broadcast.enqueue(1)
        broadcast.enqueueEnd(2)
        #expect(broadcast.current == 2)
        let late = broadcast.follow()
        broadcast.send(3)
        #expect(await all(follower) == [0, 1, 2])
        #expect(await all(late) == [2])
    }

    @Test func `many followers on many tasks all see the same order`() async {
        let broadcast = Broadcast(0)
        let followers = (0..<50).map { _ in broadcast.follow() }
        await withTaskGroup(of: Void.self) { group in
            for sender in 0..<4 {
                group.addTask { for number in 1...250 { broadcast.send(sender * 1000 + number) } }
            }
        }
        broadcast.finish(-1)
        var seen: Set<[Int]> = []
        for follower in followers { seen.insert(await all(follower)) }
        #expect(seen.count == 1)
        #expect(seen.first?.count == 1002)
        for sender in 0..<4 {
            let own = seen.first?.filter { $0 > sender * 1000 && $0 <= sender * 1000 + 250 }
            #expect(own == Array(sender * 1000 + 1...sender * 1000 + 250))
        }
    }

    @Test func `a follower that is cancelled ends, and the others go on`() async {
        let broadcast = Broadcast(0)
        let leaving = broadcast.follow()
        let staying = broadcast.follow()
        let task = Task { await all(leaving) }
        task.cancel()
        _ = await task.value
        broadcast.send(1)
        broadcast.finish()
        #expect(await all(staying) == [0, 1])
    }

    @Test func `a follower that is cancelled while changes are sent to it holds nobody up`() async {
        for _ in 0..<2_000 {
            let broadcast = Broadcast(0)
            let stream = broadcast.follow()
            let follower = Task { _ = await all(stream) }
            // By now it waits for a change.
            for _ in 0..<3 { await Task.yield() }
            async let sending: Void = { for value in 1...5 { broadcast.send(value) } }()
            async let cancelling: Void = follower.cancel()
            _ = await (sending, cancelling)
            await follower.value
            #expect(broadcast.current == 5)
        }
    }

    @Test func `followers that come while it ends all end`() async {
        for _ in 0..<200 {
            let broadcast = Broadcast(0)
            async let ending: Void = broadcast.finish(1)
            async let last = all(broadcast.follow()).last
            #expect(await last == 1)
            await ending
        }
    }
}
