import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

extension LockScene {
    /// A mutex of the client behind the proxy.
    var mutex: DistributedMutex {
        get throws { try DistributedMutex(client: client, path: Self.path, id: "near") }
    }

    /// The same mutex, for whoever else uses it.
    var otherMutex: DistributedMutex {
        get throws { try DistributedMutex(client: other, path: Self.path, id: "far") }
    }
}

extension Holder {
    static func locks(_ mutex: DistributedMutex) -> Holder { Holder { try await mutex.withLock($0) } }
}

/// What a mutex gives to those who take it, with nothing going wrong.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct MutexTests {
    @Test func `the mutex is granted in the order of coming, to one at a time`() async throws {
        try await LockScene.with { scene in
            let (mutex, other) = (try scene.mutex, try scene.otherMutex)
            let first = Holder.locks(mutex)
            let token = try await first.lease.fencingToken
            let second = Holder.locks(other)
            try await scene.contenders { $0.count == 2 }
            let third = Holder.locks(mutex)
            let names = try await scene.contenders { $0.count == 3 }
            #expect(names.allSatisfy { $0.kind == .lock })
            #expect(names[0].string.wholeMatch(of: /_c_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-lock-\d{10}/) != nil)
            try await first.finish()
            #expect(try await second.lease.fencingToken > token)
            #expect(!third.isGranted)
            try await second.finish()
            #expect(try await third.lease.isValid)
            try await third.finish()
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `the queue shows who holds, who waits, since when, and their tokens`() async throws {
        try await LockScene.with { scene in
            let mutex = try DistributedMutex(
                client: scene.client, path: LockScene.path, id: "near", data: Array("invoice 7".utf8))
            #expect(try await mutex.queue().isEmpty)
            let holder = Holder.locks(mutex)
            let lease = try await holder.lease
            let waiter = Holder.locks(try scene.otherMutex)
            try await scene.contenders { $0.count == 2 }
            let queue = try await mutex.queue()
            #expect(queue.map(\.participantID) == ["near", "far"])
            #expect(queue.map(\.data) == [Array("invoice 7".utf8), Array("far".utf8)])
            #expect(queue.map(\.isHolder) == [true, false])
            #expect(queue.map(\.isOwn) == [true, false])
            #expect(queue.map(\.position) == [0, 1])
            #expect(queue[0].token == lease.fencingToken)
            #expect(queue.allSatisfy { $0.kind == .mutex && $0.queuedAt.map { $0 > .now - .seconds(600) } == true })
            #expect(queue[1].session == scene.other.session?.id)
            try await holder.finish()
            _ = try await waiter.lease
            #expect(try await mutex.queue().map(\.isHolder) == [true])
            try await waiter.finish()
        }
    }

    @Test func `a participant that waits is told its position, and a holder knows its znode`() async throws {
        try await LockScene.with { scene in
            let lease = try await scene.mutex.acquire { _ in Issue.record("the lock was granted at once") }
            #expect(try await scene.mutex.queue().map(\.path) == lease.znodePaths)
            let second = Holder.locks(try scene.otherMutex)
            try await scene.contenders { $0.count == 2 }
            let (mutex, positions) = (try scene.mutex, Broadcast<[Int]>([]))
            let third = Task { try await mutex.acquire(onQueued: { positions.send(positions.current + [$0]) }) }
            for await known in positions.follow() where known.count == 1 { break }
            await lease.release()
            _ = try await second.lease
            try await second.finish()
            let granted = try await third.value
            #expect(positions.current == [2])
            await granted.release()
            let writer = try await scene.lock.acquireWriteLock()
            let written = writer.znodePaths
            try await writer.downgrade()
            #expect(writer.znodePaths.count == 1 && writer.znodePaths != written)
            await writer.release()
        }
    }

    @Test func `a mutex cannot be downgraded, says so, and stays held`() async throws {
        try await LockScene.with { scene in
            let lease = try await scene.mutex.acquire()
            let error = await #expect(throws: RecipeError.self) { try await lease.downgrade() }
            #expect(error?.code == .notReadWrite)
            #expect(lease.isValid)
            #expect(await lease.release() == .deleted)
        }
    }

    @Test func `a read-write lock shows its queue as well`() async throws {
        try await LockScene.with { scene in
            let first = Holder.reads(scene.lock)
            _ = try await first.lease
            let second = Holder.reads(scene.otherLock)
            _ = try await second.lease
            let writer = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.count == 3 }
            let queue = try await scene.lock.queue()
            #expect(queue.map(\.kind) == [.read, .read, .write])
            #expect(queue.map(\.isHolder) == [true, true, false])
            for holder in [first, second] { try await holder.finish() }
            _ = try await writer.lease
            try await writer.finish()
        }
    }

    @Test func `a try that fails creates nothing`() async throws {
        try await LockScene.with { scene in
            let mutex = try scene.mutex
            let lease = try await scene.otherMutex.acquire()
            scene.proxy.clearRequests()
            for _ in 0..<100 {
                await #expect(throws: RecipeError(.notAvailable, in: .lock, path: LockScene.path)) {
                    try await mutex.tryAcquire()
                }
                await #expect(throws: RecipeError(.notAvailable, in: .lock, path: LockScene.path)) {
                    try await mutex.tryWithLock { _ in }
                }
            }
            let requests = try await scene.requests()
            #expect(requests.count == 200 && requests.allSatisfy { $0 == .getChildrenWithStat })
            #expect(await lease.release() == .deleted)
            #expect(try await mutex.tryAcquire().release() == .deleted)
        }
    }

    @Test func `an uncontended mutex costs a create, a listing and a delete`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(30)) { scene in
            let mutex = try scene.mutex
            try await mutex.withLock { _ in }
            let before = try await scene.server.counters().packetsReceived
            for _ in 0..<100 { try await mutex.acquire().release() }
            let packets = try await scene.server.counters().packetsReceived - before
            // The counters' own connection and a proof count as well; a slow machine may set some watches.
            #expect((300..<350).contains(packets))
        }
    }

    @Test func `time that runs out leaves nothing behind`() async throws {
        try await LockScene.with { scene in
            let lease = try await scene.otherMutex.acquire()
            let error = await #expect(throws: RecipeError.self) {
                try await scene.mutex.acquire(timeout: .milliseconds(100))
            }
            #expect(error?.code == .timedOut)
            try await scene.contenders { $0.count == 1 }
            await lease.release()
        }
    }
}

/// Locks that do not begin and end in one function.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct LeaseHandleTests {
    @Test func `a mutex is taken again by its lease, and goes with the last handle`() async throws {
        try await LockScene.with { scene in
            let lease = try await scene.mutex.acquire()
            let second = try lease.share()
            let value = try await lease.withLock { inner in
                #expect(inner.isValid && inner.fencingToken == second.fencingToken)
                return 7
            }
            #expect(value == 7)
            #expect(await lease.release() == .stillShared)
            #expect(!lease.isValid && second.isValid)
            #expect(throws: RecipeError.self) { try lease.share() }
            #expect(try await scene.contenders().count == 1)
            #expect(await second.release() == .deleted)
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `a mutex that the task holds is refused to it at once`() async throws {
        try await LockScene.with { scene in
            let (mutex, same) = (try scene.mutex, try scene.mutex)
            try await mutex.withLock { lease in
                let nested = await #expect(throws: RecipeError.self) { try await same.withLock { _ in } }
                #expect(nested?.code == .alreadyHeld)
                let handle = await #expect(throws: RecipeError.self) { try await mutex.acquire() }
                #expect(handle?.code == .alreadyHeld)
                try await lease.withLock { #expect($0.isValid) }
            }
            try await mutex.withLock { _ in }
        }
    }

    @Test func `a lock may be given up before its body ends`() async throws {
        try await LockScene.with { scene in
            let (mutex, other) = (try scene.mutex, try scene.otherMutex)
            try await mutex.withLock { lease in
                #expect(await lease.release() == .deleted)
                try await other.withLock { #expect($0.isValid) }
                #expect(!lease.isValid)
            }
        }
    }

    @Test func `a handle that is forgotten gives the lock up`() async throws {
        try await LockScene.with { scene in
            _ = try await scene.mutex.acquire()
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test(arguments: [false, true])
    func `a release during an outage is still trying, and says when it is done`(isCancelled: Bool) async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let lease = try await scene.mutex.acquire()
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            let release = Task {
                if isCancelled { withUnsafeCurrentTask { unsafe $0?.cancel() } }
                return await lease.release()
            }
            #expect(await release.value == .stillTrying)
            await scene.proxy.accept()
            for await state in lease.states where state == .released { break }
            #expect(await lease.release() == .deleted)
            #expect(try await scene.contenders().isEmpty)
        }
    }

    @Test func `a release after the session's end says so`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let lease = try await scene.mutex.acquire()
            try await scene.server.expireSession(of: scene.client)
            _ = try await lease.waitUntilLost()
            await scene.client.state { $0.isConnected && $0.session?.epoch == 2 }
            #expect(await lease.release() == .sessionEnded)
        }
    }

    @Test func `a lost connection is told as a risk, and a proof ends it`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            let lease = try await scene.mutex.acquire()
            var states = lease.states.makeAsyncIterator()
            #expect(await states.next() == lease.state)
            await scene.proxy.refuse()
            await scene.proxy.cut()
            var state = await states.next()
            while state?.isAtRisk == false { state = await states.next() }
            #expect(state?.isHeld == true && lease.isValid)
            #expect(state?.atRiskUntil == lease.validUntil)
            await scene.proxy.accept()
            while state?.isAtRisk == true { state = await states.next() }
            #expect(state?.isHeld == true && state?.isLost == false && lease.isValid)
            await lease.release()
        }
    }

    @Test func `a silent network is told as a risk before the loss`() async throws {
        try await LockScene.with { scene in
            let lease = try await scene.mutex.acquire()
            let states = lease.states
            await scene.proxy.hold(.both)
            var wasAtRisk = false
            for await state in states {
                if state.isLost { break }
                wasAtRisk = state.isAtRisk
            }
            #expect(wasAtRisk)
            #expect(lease.state.lossReason == .deadlinePassed)
            await scene.proxy.release(.both)
            await lease.release()
            try await scene.contenders { $0.isEmpty }
        }
    }
}

/// Writes that happen only while the lock is held.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct GuardedTests {
    @Test func `a guarded transaction gives the results of its operations`() async throws {
        try await LockScene.with { scene in
            let lease = try await scene.mutex.acquire()
            let results = try await lease.transaction([
                .create("/written", data: [1], mode: .persistentSequential), .setData([2], at: LockScene.path),
            ])
            #expect(results.count == 2 && results[0].path?.hasPrefix("/written") == true)
            #expect(results[1].stat?.dataLength == 1)
            await lease.release()
            let error = await #expect(throws: RecipeError.self) { try await lease.transaction([.check("/")]) }
            #expect(error?.code == .released)
        }
    }

    @Test func `an operation that fails keeps its number`() async throws {
        try await LockScene.with { scene in
            try await scene.mutex.withLock { lease in
                let error = await #expect(throws: ZooKeeperError.self) {
                    try await lease.transaction([.check("/"), .check("/nowhere")])
                }
                #expect(error?.code == .noNode && error?.failedOperation == 1 && error?.path == "/nowhere")
            }
        }
    }

    @Test func `the ensemble refuses a guarded write of a holder that does not know of its loss`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let lease = try await scene.mutex.acquire()
            try await scene.proxy.nextRequest { $0.operation == .getData }
            await scene.proxy.hold(.toClient)
            try await scene.other.delete(scene.path(scene.contenders()[0]))
            #expect(lease.isValid)
            let write = Task { try await lease.transaction([.create("/written")]) }
            try await scene.proxy.nextRequest { $0.operation == .multi }
            await scene.proxy.release(.both)
            await #expect(throws: RecipeError(.lost, in: .lock, path: LockScene.path, lossReason: .znodeDeleted)) {
                try await write.value
            }
            #expect(try await scene.other.exists(at: "/written") == nil)
            await lease.release()
        }
    }

    @Test func `a guarded write whose answer is lost has an unknown outcome`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            try await scene.mutex.withLock { lease in
                await scene.proxy.dropNextReply(thenCut: true) { $0.operation == .multi }
                let error = await #expect(throws: ZooKeeperError.self) {
                    try await lease.transaction([.create("/written")])
                }
                #expect(error?.isOutcomeUnknown == true)
            }
        }
    }
}
