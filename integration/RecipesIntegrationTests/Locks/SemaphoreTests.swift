import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// What a semaphore gives to those who take leases, with nothing going wrong.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct SemaphoreTests {
    @Test func `as many hold as the limit says, and the next one in order follows`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try scene.semaphore(2), try scene.otherSemaphore(2))
            let first = Holder.leases(near)
            let token = try await first.lease.fencingToken
            let second = Holder.leases(far)
            #expect(try await second.lease.fencingToken > token)
            let third = Holder.leases(near)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }
            let fourth = Holder.leases(far)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 2 }
            let queue = try await near.queue()
            #expect(queue.map(\.kind) == [.lease, .lease, .mutex, .mutex])
            #expect(queue.map(\.isHolder) == [true, true, false, false])
            #expect(queue.map(\.participantID) == ["near", "far", "near", "far"])
            #expect(queue.map(\.position) == [0, 1, 2, 3])
            try await second.finish()
            #expect(try await third.lease.isValid)
            #expect(!fourth.isGranted)
            try await first.finish()
            #expect(try await fourth.lease.isValid)
            try await third.finish()
            try await fourth.finish()
            try await scene.expectFullCapacity(2)
        }
    }

    @Test func `a participant that waits for leases is told its position once`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try scene.semaphore(2), try scene.otherSemaphore(2))
            let one = try await far.acquire { _ in Issue.record("the lease was granted at once") }
            let positions = Broadcast<[Int]>([])
            let onQueued: OnQueued = { positions.send(positions.current + [$0]) }
            let two = Task { try await near.acquire(count: 2, onQueued: onQueued) }
            for await known in positions.follow() where known.count == 1 { break }
            // The znodes change, and the participant still waits.
            try await far.setLimit(1)
            try await far.setLimit(2)
            let three = Task { try await far.acquire(onQueued: onQueued) }
            for await known in positions.follow() where known.count == 2 { break }
            await one.release()
            let leases = try await two.value
            #expect(leases.znodePaths.count == 2)
            for await known in positions.follow() where known.count == 3 { break }
            await leases.release()
            try await three.value.release()
            #expect(positions.current == [0, 1, 0])
        }
    }

    @Test func `several leases are granted together, and who wants many is not overtaken`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try scene.semaphore(3), try scene.otherSemaphore(3))
            let one = try await far.acquire()
            let many = Holder.leases(near, 3)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }
            let few = Holder.leases(far)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 2 }
            let standing = try await scene.semaphoreChildren(of: "leases") { _ in true }
            #expect(standing.count == 1)
            #expect(!few.isGranted)
            await one.release()
            #expect(try await many.lease.isValid)
            let names = try await scene.semaphoreChildren(of: "leases") { _ in true }
            #expect(names.count == 3)
            #expect(names.allSatisfy { $0.wholeMatch(of: /_c_[0-9a-f-]{36}-lease-\d{10}/) != nil })
            #expect(!few.isGranted)
            try await many.finish()
            #expect(try await few.lease.isValid)
            try await few.finish()
            try await scene.expectFullCapacity(3)
        }
    }

    @Test func `a raised limit wakes who waits, and a lowered one takes nothing away`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try scene.semaphore(1), try scene.otherSemaphore(7))
            let first = Holder.leases(near)
            let lease = try await first.lease
            // The limit that stands counts.
            #expect(try await far.limit() == 1)
            let second = Holder.leases(far)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }
            try await near.setLimit(2)
            #expect(try await second.lease.isValid)
            try await far.setLimit(0)
            #expect(lease.isValid)
            let error = await #expect(throws: RecipeError.self) { try await near.tryAcquire() }
            #expect(error?.code == .notAvailable)
            try await first.finish()
            try await second.finish()
            let third = Holder.leases(near, 2)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }
            try await far.setLimit(2)
            #expect(try await third.lease.isValid)
            try await third.finish()
        }
    }

    @Test func `the limit is written as Curator's counters are`() async throws {
        try await LockScene.with { scene in
            let near = try scene.semaphore(258)
            #expect(try await near.limit() == 258)
            try await near.withLease { _ in }
            #expect(try await scene.other.data(at: LockScene.semaphorePath + "-limit").data == [0, 0, 1, 2])
            try await scene.other.setData([1], at: LockScene.semaphorePath + "-limit")
            let error = await #expect(throws: RecipeError.self) { try await near.acquire() }
            #expect(error?.code == .unreadable)
            try await near.setLimit(1)
            try await scene.expectFullCapacity(1)
        }
    }

    @Test func `a semaphore without a limit needs one that is stored`() async throws {
        try await LockScene.with { scene in
            let semaphore = try DistributedSemaphore(client: scene.client, path: LockScene.semaphorePath)
            #expect(semaphore.initialLimit == nil)
            for attempt in 0..<3 {
                let error = await #expect(throws: RecipeError.self) {
                    switch attempt {
                    case 0: _ = try await semaphore.limit()
                    case 1: try await semaphore.tryWithLease { _ in }
                    default: try await semaphore.withLease { _ in }
                    }
                }
                #expect(error?.code == .notFound && error?.path == LockScene.semaphorePath + "-limit")
            }
            try await scene.semaphoreChildren(of: "locks") { $0.isEmpty }
            try await semaphore.setLimit(2)
            #expect(try await semaphore.limit() == 2)
            try await semaphore.withLease(count: 2) { _ in }
            // The limit that is stored counts.
            #expect(try await scene.otherSemaphore(5).limit() == 2)
            try await scene.expectFullCapacity(2)
        }
    }

    @Test func `a try that fails creates nothing`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try scene.semaphore(1), try scene.otherSemaphore(1))
            let lease = try await far.acquire()
            scene.proxy.clearRequests()
            for _ in 0..<100 {
                let error = await #expect(throws: RecipeError.self) { try await near.tryWithLease { _ in } }
                #expect(error == RecipeError(.notAvailable, in: .lock, path: LockScene.semaphorePath))
            }
            let requests = try await scene.requests()
            #expect(requests.count == 200 && requests.allSatisfy { $0 == .getChildrenWithStat || $0 == .getData })
            await lease.release()
            #expect(await (try near.tryAcquire()).release() == .deleted)
        }
    }

    @Test func `a lease that nobody waits for costs seven requests`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(30)) { scene in
            let semaphore = try scene.semaphore(3)
            try await semaphore.withLease { _ in }
            let before = try await scene.server.counters().packetsReceived
            for _ in 0..<50 { try await semaphore.acquire().release() }
            let packets = try await scene.server.counters().packetsReceived - before
            // Two watches are given up each time; the counters' own connection and a proof count as well.
            #expect((350..<500).contains(packets), "\(packets)")
        }
    }

    @Test func `impossible arguments are refused`() async throws {
        try await LockScene.with { scene in
            for (path, limit) in [("/", 1), ("/x", -1), ("/x", 1 << 31), ("x", 1)] {
                #expect(throws: (any Error).self) {
                    try DistributedSemaphore(client: scene.client, path: path, limit: limit)
                }
            }
            let error = await #expect(throws: RecipeError.self) { try await scene.semaphore(1).acquire(count: 0) }
            #expect(error?.code == .invalidArgument)
            await #expect(throws: RecipeError.self) { try await scene.semaphore(1).setLimit(-1) }
        }
    }
}
