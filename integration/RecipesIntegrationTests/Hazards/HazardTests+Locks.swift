import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Sections 1.4 and 1.5: semaphores, several locks at a time, and asking a holder to let go.
extension HazardTests {
    @Test func `H48 the holder of a read lock and of a semaphore's leases are asked one by one`() async throws {
        try await LockScene.with { scene in
            let reader = Holder.reads(scene.lock)
            let read = try await reader.lease
            #expect(try await scene.otherLock.requestRelease(from: scene.otherLock.queue()[0], reason: "read"))
            for await request in read.releaseRequests {
                #expect(request == ReleaseRequest(requesterID: "far", reason: "read"))
                break
            }
            let (first, second) = (try await scene.semaphore(2).acquire(), try await scene.semaphore(2).acquire())
            let far = try scene.otherSemaphore(2)
            #expect(try await far.requestRelease(from: far.queue()[1], reason: "lease"))
            for await request in second.releaseRequests {
                #expect(request.reason == "lease")
                break
            }
            await first.release()
            for await _ in first.releaseRequests { Issue.record("the other one was asked") }
            await second.release()
            try await reader.finish()
        }
    }

    @Test(arguments: SemaphoreStep.allCases, [false, true])
    func `H58 a step that is lost with its connection costs no capacity`(
        _ step: SemaphoreStep, isDone: Bool
    ) async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let semaphore = try scene.semaphore(2)
            try await semaphore.withLease { _ in }
            if isDone {
                await scene.proxy.dropNextReply(thenCut: true) { step.matches($0) }
            } else {
                await scene.proxy.dropNextRequest(thenCut: true) { step.matches($0) }
            }
            let lease = try await semaphore.acquire()
            #expect(lease.isValid)
            try await scene.semaphoreChildren(of: "leases") { $0.count == 1 }
            try await scene.semaphoreChildren(of: "locks") { $0.isEmpty }
            #expect(await lease.release() == .deleted)
            try await scene.expectFullCapacity(2)
        }
    }

    @Test func `H59 one deadline covers all, and what was taken is given back`() async throws {
        try await LockScene.with { scene in
            let (near, far) = (try LockPair(scene.client), try LockPair(scene.other))
            let holder = Holder.writes(far.second)
            _ = try await holder.lease
            await #expect(throws: RecipeError(.timedOut, in: .lock, path: "/b")) {
                try await near.multi.acquire(timeout: .milliseconds(300))
            }
            await #expect(throws: RecipeError(.notAvailable, in: .lock, path: "/b")) {
                try await near.multi.tryWithLock { _ in }
            }
            #expect(try await far.first.queue().isEmpty)
            #expect(try await far.second.queue().count == 1)
            try await holder.finish()
            try await near.multi.withLock(timeout: .seconds(10)) { #expect($0.isValid) }
        }
    }

    @Test func `H62 the holder is told who asks and why, and its data stays`() async throws {
        try await LockScene.with { scene in
            let (mutex, other) = (try scene.mutex, try scene.otherMutex)
            let lease = try await mutex.acquire()
            let before = try await other.queue()
            #expect(try await other.requestRelease(from: before[0], reason: "upgrade at noon"))
            var requests = lease.releaseRequests.makeAsyncIterator()
            #expect(await requests.next() == ReleaseRequest(requesterID: "far", reason: "upgrade at noon"))
            // Nothing is taken away by asking.
            #expect(lease.isValid)
            #expect(try await other.queue() == before)
            #expect(try await other.requestRelease(from: before[0]))
            #expect(await requests.next() == ReleaseRequest(requesterID: "far"))
            // Who follows later is told of those before.
            var late = lease.releaseRequests.makeAsyncIterator()
            #expect(await late.next()?.reason == "upgrade at noon")
            await lease.release()
            #expect(await requests.next() == nil)
            #expect(try await !other.requestRelease(from: before[0]))
            try await scene.noRequests(at: LockScene.path)
        }
    }
}
