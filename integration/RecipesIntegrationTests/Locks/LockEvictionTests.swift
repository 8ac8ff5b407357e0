import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Operators that take a lock away from a holder.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct LockEvictionTests {
    /// Runs a test with an operator whose session timeout is that of the client behind the proxy.
    private func withOperator(
        sessionTimeout: Duration = .seconds(2), throughProxy: Bool = false,
        _ body: @escaping @Sendable (LockScene, ZooKeeperClient) async throws -> Void
    ) async throws {
        try await LockScene.with(sessionTimeout: sessionTimeout) { scene in
            let address = throughProxy ? scene.proxy.connectionString : scene.server.connectionString
            let configuration = try ZooKeeperClientConfiguration(
                connectionString: address, sessionTimeout: sessionTimeout)
            try await withZooKeeperClient(configuration: configuration) { client in try await body(scene, client) }
        }
    }

    private func mutex(_ client: ZooKeeperClient) throws -> DistributedMutex {
        try DistributedMutex(client: client, path: LockScene.path, id: "ada")
    }

    @Test func `the next participant is not granted before a frozen holder's deadline`() async throws {
        // On a busy machine the operator needs a while, and the frozen session must not expire before.
        try await withOperator(sessionTimeout: .seconds(6)) { scene, client in
            let lease = try await scene.mutex.acquire()
            await scene.proxy.hold(.both)
            let waiter = Holder.locks(try scene.otherMutex)
            try await scene.contenders { $0.count == 2 }
            let mutex = try mutex(client)
            let entry = try await mutex.queue()[0]
            let name = try await scene.contenders()[0]
            let evicting = Task { try await mutex.evict(entry, reason: "its host is down") }
            let standing = try await scene.contenders { $0.count == 2 && !$0.contains(name) }
            #expect(standing[0].number == name.number)
            let queue = try await mutex.queue()
            #expect(!queue[0].isHolder && queue[0].participantID == "ada")
            #expect(queue[0].data == Array("its host is down".utf8))
            #expect(queue[0].eviction?.participantID == "near" && queue[0].eviction?.duration == .seconds(6))
            let next = try await waiter.lease
            #expect(!lease.isValid)
            #expect(next.fencingToken > lease.fencingToken)
            #expect(try await evicting.value)
            await scene.proxy.release(.both)
            try await waiter.finish()
            await lease.release()
            try await scene.contenders(where: \.isEmpty)
        }
    }

    @Test func `a connected holder loses the lock at once, and its place stays taken`() async throws {
        try await withOperator { scene, client in
            let lease = try await scene.mutex.acquire()
            let mutex = try mutex(client)
            let entry = try await mutex.queue()[0]
            let evicting = Task { try await mutex.evict(entry) }
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            #expect(try await scene.contenders().count == 1)
            // The cancellation comes too late: the wait goes on.
            evicting.cancel()
            let next = try await scene.otherMutex.acquire()
            #expect(try await evicting.value)
            await next.release()
            await lease.release()
        }
    }

    @Test func `a holder that has left is not evicted, and nothing remains`() async throws {
        try await withOperator { scene, client in
            let lease = try await scene.mutex.acquire()
            let entry = try await mutex(client).queue()[0]
            await lease.release()
            let next = try await scene.otherMutex.acquire()
            #expect(try await !mutex(client).evict(entry))
            #expect(next.isValid)
            #expect(try await scene.contenders().count == 1)
            await next.release()
        }
    }

    @Test(arguments: 1...2)
    func `an answer that is lost does not evict twice`(lost: Int) async throws {
        try await withOperator(throughProxy: true) { scene, client in
            let lease = try await scene.otherMutex.acquire()
            let mutex = try mutex(client)
            let entry = try await mutex.queue()[0]
            let count = Mutex(0)
            // The first transaction is a barrier, the second one the eviction.
            await scene.proxy.dropNextReply(thenCut: true) { request in
                guard request.operation == .multi else { return false }
                return count.withLock { count in
                    count += 1
                    return count == lost
                }
            }
            let evicting = Task { try await mutex.evict(entry) }
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            #expect(try await scene.contenders().count == 1)
            #expect(try await evicting.value)
            #expect(try await scene.contenders().isEmpty)
            await lease.release()
        }
    }

    @Test func `the eviction of a holder excludes others in its place, whatever their session timeout`() async throws {
        try await withOperator { scene, client in
            let lease = try await scene.mutex.acquire()
            let first = try mutex(client)
            let entry = try await first.queue()[0]
            let evicting = Task { try await first.evict(entry, reason: "a test") }
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            // One operator has listed the holder before, the other one lists the placeholder.
            for target in [entry, try await scene.otherMutex.queue()[0]] {
                let error = await #expect(throws: RecipeError.self) { try await scene.otherMutex.evict(target) }
                #expect(error?.code == .notAvailable && error?.participants == ["ada"])
            }
            #expect(try await evicting.value)
            try await scene.contenders(where: \.isEmpty)
            await lease.release()
        }
    }

    @Test func `an eviction whose placeholder is deleted reports that the wait was cut short`() async throws {
        try await withOperator { scene, client in
            let lease = try await scene.mutex.acquire()
            let mutex = try mutex(client)
            let entry = try await mutex.queue()[0]
            let evicting = Task { try await mutex.evict(entry) }
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            try await scene.other.delete(scene.path(try #require(try await scene.contenders().first)))
            let error = await #expect(throws: RecipeError.self) { try await evicting.value }
            #expect(error?.code == .lost && error?.lossReason == .znodeDeleted && error?.participants == ["near"])
            await lease.release()
        }
    }

    @Test func `the end of the operator's session is no end of the wait, and is reported`() async throws {
        try await withOperator { scene, client in
            let lease = try await scene.otherMutex.acquire()
            let mutex = try mutex(client)
            let entry = try await mutex.queue()[0]
            let evicting = Task { try await mutex.evict(entry) }
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            // The answer to the operator comes before this one.
            _ = try await client.exists(at: "/")
            try await scene.server.expireSession(of: client)
            let error = await #expect(throws: RecipeError.self) { try await evicting.value }
            #expect(error?.code == .lost && error?.lossReason == .sessionEnded)
            try await scene.contenders(where: \.isEmpty)
            await lease.release()
        }
    }

    @Test func `an evicted reader keeps writers out, and lets other readers in`() async throws {
        try await withOperator { scene, client in
            let reader = Holder.reads(scene.lock)
            _ = try await reader.lease
            let lock = try DistributedReadWriteLock(client: client, path: LockScene.path, id: "ada")
            let entry = try await lock.queue()[0]
            let evicting = Task { try await lock.evict(entry) }
            #expect(await reader.lockError()?.code == .lost)
            let other = Holder.reads(scene.otherLock)
            _ = try await other.lease
            try await other.finish()
            let writer = Holder.writes(scene.otherLock)
            try await scene.contenders { $0.contains { $0.kind == .write } }
            #expect(!writer.isGranted)
            _ = try await writer.lease
            #expect(try await evicting.value)
            try await writer.finish()
        }
    }

    @Test func `an evicted lease stays taken for a session timeout`() async throws {
        try await withOperator { scene, client in
            let lease = try await scene.semaphore(1).acquire()
            let semaphore = try DistributedSemaphore(client: client, path: LockScene.semaphorePath, id: "ada")
            let entry = try await semaphore.queue()[0]
            let evicting = Task { try await semaphore.evict(entry) }
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            #expect(try await scene.semaphoreChildren(of: "leases") { _ in true }.count == 1)
            let next = try await scene.otherSemaphore(1).acquire()
            #expect(try await evicting.value)
            await next.release()
            await lease.release()
            try await scene.expectFullCapacity(1)
        }
    }

    // MARK: Cancellation

    /// What an eviction waits for before it sends its transaction.
    enum EarlyWait: CaseIterable {
        case session, holder, frozenServer, reconnection, otherEviction
    }

    /// Lets an eviction begin that waits without end.
    private func begin(
        _ wait: EarlyWait, _ scene: LockScene, _ client: ZooKeeperClient,
        _ evict: @escaping @Sendable () async throws -> Bool
    ) async throws -> Task<Bool, any Error> {
        switch wait {
        case .session:
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await client.state { !$0.isConnected }
            return Task { try await evict() }
        case .holder:
            await scene.proxy.hold(.both)
        case .frozenServer:
            try scene.server.pause()
        case .reconnection:
            await scene.proxy.refuse()
            await scene.proxy.dropNextRequest(thenCut: true) { $0.operation == .multi }
            let evicting = Task { try await evict() }
            try await scene.proxy.nextDropped()
            await client.state { !$0.isConnected }
            return evicting
        case .otherEviction:
            await scene.proxy.holdFromNextRequest(where: \.isListing)
        }
        scene.proxy.clearRequests()
        let evicting = Task { try await evict() }
        try await scene.proxy.nextRequest { wait == .otherEviction ? $0.isListing : $0.operation == .multi }
        return evicting
    }

    @Test(arguments: EarlyWait.allCases)
    func `a cancellation before the transaction ends the eviction, which changes nothing`(wait: EarlyWait) async throws
    {
        try await withOperator(sessionTimeout: .seconds(10), throughProxy: true) { scene, client in
            var lease = try await scene.otherMutex.acquire()
            let mutex = try mutex(client)
            let entry = try await mutex.queue()[0]
            if wait == .otherEviction {
                await lease.release()
                lease = try await scene.otherMutex.acquire()
            }
            let before = try await scene.contenders()
            let evicting = try await begin(wait, scene, client) { try await mutex.evict(entry) }
            evicting.cancel()
            await #expect(throws: CancellationError.self) { try await evicting.value }
            if wait == .frozenServer { try scene.server.resume() }
            await scene.proxy.release(.both)
            await scene.proxy.accept()
            // The server has executed everything that the operator has sent.
            try await client.sync("/")
            #expect(try await scene.contenders() == before)
            #expect(lease.isValid)
            await lease.release()
        }
    }

    /// Matches the transaction of an eviction, which follows a barrier.
    private static func isTransaction() -> @Sendable (ProxiedRequest) -> Bool {
        let count = Counter()
        return { request in request.operation == .multi && count.next() == 2 }
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)

        func next() -> Int {
            count.withLock { count in
                count += 1
                return count
            }
        }
    }

    @Test func `a cancellation after the transaction is sent does not end the eviction`() async throws {
        try await withOperator(throughProxy: true) { scene, client in
            let lease = try await scene.otherMutex.acquire()
            let mutex = try mutex(client)
            let entry = try await mutex.queue()[0]
            await scene.proxy.holdFromNextRequest(where: Self.isTransaction())
            scene.proxy.clearRequests()
            let evicting = Task { try await mutex.evict(entry) }
            for _ in 0..<2 { try await scene.proxy.nextRequest { $0.operation == .multi } }
            evicting.cancel()
            await scene.proxy.release(.both)
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            #expect(try await evicting.value)
            try await scene.contenders(where: \.isEmpty)
            await lease.release()
        }
    }

    @Test func `a cancelled eviction whose transaction was lost ends when that is certain`() async throws {
        try await withOperator(sessionTimeout: .seconds(10), throughProxy: true) { scene, client in
            let lease = try await scene.otherMutex.acquire()
            let mutex = try mutex(client)
            let entry = try await mutex.queue()[0]
            let before = try await scene.contenders()
            await scene.proxy.refuse()
            await scene.proxy.dropNextRequest(thenCut: true, where: Self.isTransaction())
            let evicting = Task { try await mutex.evict(entry) }
            try await scene.proxy.nextDropped()
            evicting.cancel()
            await client.state { !$0.isConnected }
            await scene.proxy.accept()
            await #expect(throws: CancellationError.self) { try await evicting.value }
            try await client.sync("/")
            #expect(try await scene.contenders() == before)
            #expect(lease.isValid)
            await lease.release()
        }
    }
}
