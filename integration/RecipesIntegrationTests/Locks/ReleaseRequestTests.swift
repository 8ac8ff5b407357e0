import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Asking who holds a lock to give it up.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct ReleaseRequestTests {

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
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            await lease.release()
        }
    }

    @Test func `Curator's revocation is understood, and the holder's data is put back`() async throws {
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
}

extension LockScene {
    /// Waits until nobody is asked for anything.
    func noRequests(at path: String) async throws {
        while true {
            let (names, _, watch) = try await other.watchChildren(of: path + "-requests")
            if names.isEmpty { return }
            _ = try await watch.event()
        }
    }
}
