import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Asking who holds a lock to give it up.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ReleaseRequestTests {
    @Test func `H62 the holder is told who asks and why, and its data stays`() async throws {
        try await LockScene.with { scene in
            let (mutex, other) = (try scene.mutex, try scene.otherMutex)
            let lease = try await mutex.acquire()
            let before = try await other.queue()
            #expect(try await other.requestRelease(from: before[0], reason: "upgrade at noon"))
            var requests = lease.releaseRequests.makeAsyncIterator()
            #expect(await requests.next() == ReleaseRequest(asker: "far", reason: "upgrade at noon"))
            // Nothing is taken away by asking.
            #expect(lease.isValid)
            #expect(try await other.queue() == before)
            #expect(try await other.requestRelease(from: before[0]))
            #expect(await requests.next() == ReleaseRequest(asker: "far"))
            // Who follows later is told of those before.
            var late = lease.releaseRequests.makeAsyncIterator()
            #expect(await late.next()?.reason == "upgrade at noon")
            await lease.release()
            #expect(await requests.next() == nil)
            #expect(try await !other.requestRelease(from: before[0]))
            try await scene.noRequests(at: LockScene.path)
        }
    }

    @Test func `who waits is told when it gets the lock`() async throws {
        try await LockScene.with { scene in
            let (mutex, other) = (try scene.mutex, try scene.otherMutex)
            let first = try await other.acquire()
            let second = Holder.locks(mutex)
            try await scene.contenders { $0.count == 2 }
            #expect(try await other.requestRelease(from: other.queue()[1], reason: "soon"))
            await first.release()
            let lease = try await second.lease
            for await request in lease.releaseRequests {
                #expect(request.reason == "soon")
                break
            }
            try await second.finish()
        }
    }

    @Test func `a request to one who does not hear it goes with the holder`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let lease = try await scene.mutex.acquire()
            await scene.proxy.hold(.both)
            let other = try scene.otherMutex
            let entry = try await other.queue()[0]
            #expect(try await other.requestRelease(from: entry))
            #expect(try await scene.other.children(of: LockScene.path + "-requests").names.count == 1)
            try await scene.other.delete(entry.path)
            try await scene.noRequests(at: LockScene.path)
            await scene.proxy.release(.both)
            #expect(try await lease.lost == .znodeDeleted)
            await lease.release()
        }
    }

    @Test func `H62 Curator's revocation is understood, and the holder's data is put back`() async throws {
        try await LockScene.with { scene in
            let lease = try await scene.mutex.acquire()
            let path = try await scene.path(scene.contenders()[0])
            for _ in 0..<2 {
                try await scene.other.setData(Array("__REVOKE__".utf8), at: path)
                while true {
                    let (data, _, watch) = try await scene.other.watchData(at: path)
                    if data == Array("near".utf8) { break }
                    _ = try await watch.event()
                }
            }
            var requests = lease.releaseRequests.makeAsyncIterator()
            #expect(await requests.next() == ReleaseRequest())
            #expect(await requests.next() == ReleaseRequest())
            #expect(lease.isValid)
            await lease.release()
        }
    }

    @Test func `H48 the holder of a read lock and of a semaphore's leases are asked one by one`() async throws {
        try await LockScene.with { scene in
            let reader = Holder.reads(scene.lock)
            let read = try await reader.lease
            #expect(try await scene.otherLock.requestRelease(from: scene.otherLock.queue()[0], reason: "read"))
            for await request in read.releaseRequests {
                #expect(request == ReleaseRequest(asker: "far", reason: "read"))
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
}

extension LockScene {
    /// Waits until nobody is asked for anything.
    fileprivate func noRequests(at path: String) async throws {
        while true {
            let (names, _, watch) = try await other.watchChildren(of: path + "-requests")
            if names.isEmpty { return }
            _ = try await watch.event()
        }
    }
}
