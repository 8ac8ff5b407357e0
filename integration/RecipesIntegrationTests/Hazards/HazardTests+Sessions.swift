import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.3: what holds, and what ends, with connections and sessions.
extension HazardTests {
    @Test func `H05 a waiter is never granted the lock on its previous session's node`() async throws {
        try await LockScene.withWaiter { scene, holder, waiter in
            let old = try await scene.contenders()[1]
            try await scene.server.expireSession(of: scene.client)
            let names = try await scene.contenders { $0.count == 2 && !$0.contains(old) }
            #expect(!waiter.isGranted)
            #expect(names[1].prefix != old.prefix)
            try await holder.finish()
            let lease = try await waiter.lease
            let stat = try await scene.other.exists(at: scene.path(names[1]))
            #expect(stat?.ephemeralOwner == scene.client.session?.id)
            #expect(stat?.czxid.rawValue == lease.fencingToken.rawValue)
            try await waiter.finish()
        }
    }

    @Test func `H27 a holder whose session expires is told, and the next one gets the lock`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let next = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.count == 2 }
            try await scene.server.expireSession(of: scene.client)
            #expect(try await next.lease.fencingToken > lease.fencingToken)
            #expect(await holder.lockError()?.code == .lost)
            #expect(!lease.isValid)
            try await next.finish()
            try await scene.lock.withWriteLock { #expect($0.isValid) }
        }
    }

    @Test func `H34 twenty cuts move nothing`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            let names = try await scene.contenders()
            scene.proxy.forgetRequests()
            for _ in 0..<20 {
                let connections = scene.proxy.counters.connections
                await scene.proxy.cut()
                try await scene.proxy.awaitConnections(connections + 1)
                await scene.client.state { $0.isConnected }
            }
            #expect(lease.isValid && !holder.isCancelled)
            #expect(try await scene.contenders() == names)
            let stat = try await scene.other.exists(at: scene.path(names[0]))
            #expect(stat?.czxid.rawValue == lease.fencingToken.rawValue)
            #expect(try await !scene.requests().contains { $0 == .createWithStat })
            try await holder.finish()
        }
    }

    @Test func `H35 a short outage keeps the place`() async throws {
        try await LockScene.withWaiter { scene, holder, waiter in
            let names = try await scene.contenders()
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            // The turn comes while nobody can be told.
            try await holder.finish()
            #expect(!waiter.isGranted)
            await scene.proxy.accept()
            #expect(try await waiter.lease.isValid)
            #expect(try await scene.contenders() == [names[1]])
            try await waiter.finish()
        }
    }

    @Test func `H42 a holder whose znode is deleted stops at once`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.writes(scene.lock)
            let lease = try await holder.lease
            try await scene.other.delete(scene.path(scene.contenders()[0]))
            #expect(try await lease.lost == .znodeDeleted)
            #expect(!lease.isValid)
            #expect(await holder.lockError() == LockError(.lost, path: LockScene.path, reason: .znodeDeleted))
        }
    }
}
