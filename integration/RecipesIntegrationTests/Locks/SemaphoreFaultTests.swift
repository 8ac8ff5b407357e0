import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Steps of an acquisition whose answer can be lost.
enum SemaphoreStep: String, CaseIterable, Sendable {
    case mutex, leases, limit, take, look

    func matches(_ request: ProxiedRequest) -> Bool {
        switch self {
        case .mutex: request.operation == .createWithStat
        case .leases: request.isListing && request.path?.hasSuffix("/leases") == true
        case .limit: request.operation == .getData && request.path?.hasSuffix("-limit") == true
        case .take: request.operation == .multi
        case .look: request.operation == .exists && request.path?.contains("-lease-") == true
        }
    }
}

/// What happens to those who take leases, and to the leases.
@Suite(.serialized, .timeLimit(.minutes(5)))
struct SemaphoreFaultTests {
    /// Lets the other client hold the only lease, and the client behind the proxy wait for it.
    private func withWaiter(
        sessionTimeout: Duration = .seconds(10),
        _ body: @escaping @Sendable (LockScene, _ holder: Lease, _ waiter: Holder) async throws -> Void
    ) async throws {
        try await LockScene.with(sessionTimeout: sessionTimeout) { scene in
            let holder = try await scene.otherSemaphore(1).acquire()
            let waiter = Holder.leases(try scene.semaphore(1))
            try await scene.proxy.nextRequest { SemaphoreStep.limit.matches($0) }
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }
            try await body(scene, holder, waiter)
            try await scene.expectFullCapacity(1)
        }
    }

    @Test(arguments: SemaphoreStep.allCases)
    func `who is cancelled at a step costs no capacity`(_ step: SemaphoreStep) async throws {
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            let semaphore = try scene.semaphore(2)
            try await semaphore.withLease { _ in }
            await scene.proxy.refuse()
            await scene.proxy.dropNextReply(thenCut: true) { step.matches($0) }
            let holder = Holder.leases(semaphore, 2)
            _ = try await scene.proxy.nextDropped()
            await scene.client.state { $0.isSuspended }
            holder.cancel()
            #expect(await holder.error() is CancellationError)
            await scene.proxy.accept()
            try await scene.expectFullCapacity(2)
        }
    }

    @Test func `a cancelled waiter frees the semaphore's mutex`() async throws {
        try await withWaiter { scene, holder, waiter in
            let next = Holder.leases(try scene.otherSemaphore(1))
            try await scene.semaphoreChildren(of: "locks") { $0.count == 2 }
            waiter.cancel()
            #expect(await waiter.error() is CancellationError)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }
            await holder.release()
            #expect(try await next.lease.isValid)
            try await next.finish()
        }
    }

    @Test func `time that runs out frees the mutex and leaves nothing behind`() async throws {
        try await LockScene.with(sessionTimeout: .seconds(10)) { scene in
            let holder = try await scene.otherSemaphore(1).acquire()
            let error = await #expect(throws: RecipeError.self) {
                try await scene.semaphore(1).acquire(timeout: .milliseconds(300))
            }
            #expect(error == RecipeError(.timedOut, in: .lock, path: LockScene.semaphorePath))
            await holder.release()
            try await scene.expectFullCapacity(1)
        }
    }

    @Test func `with the server down the wait ends in time`() async throws {
        try await withWaiter { scene, holder, waiter in
            await scene.server.kill()
            await scene.client.state { $0.isSuspended }
            let start = ContinuousClock.now
            let error = await #expect(throws: RecipeError.self) {
                try await scene.semaphore(1).acquire(timeout: .seconds(1))
            }
            #expect(error?.code == .timedOut)
            #expect(ContinuousClock.now - start < .milliseconds(1500))
            try await scene.server.start()
            await scene.client.state { $0.isConnected }
            await scene.other.state { $0.isConnected }
            await holder.release()
            #expect(try await waiter.lease.isValid)
            try await waiter.finish()
        }
    }

    @Test func `a lost connection keeps the place, and the leases`() async throws {
        try await withWaiter(sessionTimeout: .seconds(20)) { scene, holder, waiter in
            let place = try await scene.semaphoreChildren(of: "locks") { _ in true }
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            await holder.release()
            #expect(try await scene.semaphoreChildren(of: "locks") { _ in true } == place)
            await scene.proxy.accept()
            let lease = try await waiter.lease
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            #expect(lease.isValid)
            await scene.proxy.accept()
            await scene.client.state { $0.isConnected }
            #expect(lease.isValid)
            try await waiter.finish()
        }
    }

    @Test func `after the session's end the waiter begins again`() async throws {
        try await withWaiter { scene, holder, waiter in
            let old = try await scene.semaphoreChildren(of: "locks") { _ in true }
            try await scene.server.expireSession(of: scene.client)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 && $0 != old }
            await holder.release()
            #expect(try await waiter.lease.isValid)
            try await waiter.finish()
        }
    }

    @Test func `a waiter whose mutex znode is deleted begins again`() async throws {
        try await withWaiter { scene, holder, waiter in
            let old = try await scene.semaphoreChildren(of: "locks") { _ in true }
            try await scene.other.delete("\(LockScene.semaphorePath)/locks/\(old[0])")
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 && $0 != old }
            await holder.release()
            #expect(try await waiter.lease.isValid)
            try await waiter.finish()
        }
    }

    @Test func `one of several leases that is deleted ends all of them`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.leases(try scene.semaphore(3), 3)
            let lease = try await holder.lease
            let names = try await scene.semaphoreChildren(of: "leases") { $0.count == 3 }
            try await scene.other.delete("\(LockScene.semaphorePath)/leases/\(names[1])")
            #expect(try await lease.waitUntilLost() == .znodeDeleted)
            #expect(!lease.isValid)
            #expect(await holder.lockError()?.code == .lost)
            try await scene.expectFullCapacity(3)
        }
    }

    @Test func `an expired session ends the leases, and who waits gets them`() async throws {
        try await LockScene.with { scene in
            let holder = Holder.leases(try scene.semaphore(2), 2)
            let lease = try await holder.lease
            let next = Holder.leases(try scene.otherSemaphore(2), 2)
            try await scene.semaphoreChildren(of: "locks") { $0.count == 1 }
            try await scene.server.expireSession(of: scene.client)
            #expect(try await next.lease.isValid)
            #expect(await holder.lockError()?.code == .lost)
            #expect(!lease.isValid)
            try await next.finish()
        }
    }

    @Test func `a server that restarts moves nothing`() async throws {
        try await withWaiter(sessionTimeout: .seconds(30)) { scene, holder, waiter in
            await scene.server.kill()
            await scene.client.state { $0.isSuspended }
            await scene.other.state { $0.isSuspended }
            #expect(holder.isValid)
            try await scene.server.start()
            await scene.client.state { $0.isConnected }
            await scene.other.state { $0.isConnected }
            #expect(holder.isValid && !waiter.isGranted)
            await holder.release()
            #expect(try await waiter.lease.isValid)
            try await waiter.finish()
        }
    }

    /// Those who hold leases.
    private final class Crowd: Sendable {
        struct State {
            var inside = 0
            var most = 0
            var grants = 0
        }

        let state = Mutex(State())
    }

    @Test func `never more leases than the limit, while clients come, go, and are cancelled`() async throws {
        let crowd = Crowd()
        try await LockScene.with(sessionTimeout: .seconds(20)) { scene in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<6 {
                    let semaphore = number < 3 ? try scene.semaphore(3) : try scene.otherSemaphore(3)
                    group.addTask {
                        var random = SplitMix(state: UInt64(number))
                        for _ in 0..<20 { try await Self.attempt(semaphore, &random, crowd) }
                    }
                }
                try await group.waitForAll()
            }
            try await scene.expectFullCapacity(3)
        }
        let result = crowd.state.withLock { $0 }
        #expect(result.inside == 0 && result.most <= 3 && result.grants > 40)
    }

    private static func attempt(
        _ semaphore: DistributedSemaphore, _ random: inout SplitMix, _ crowd: Crowd
    ) async throws {
        let (count, way) = (Int.random(in: 1...2, using: &random), Int.random(in: 0..<5, using: &random))
        let turns = Int.random(in: 0...20, using: &random)
        let task = Task {
            switch way {
            case 0: try await semaphore.tryAcquire(count: count)
            case 1: try await semaphore.acquire(count: count, timeout: .milliseconds(10))
            default: try await semaphore.acquire(count: count)
            }
        }
        if way == 2 {
            for _ in 0..<Int.random(in: 0...200, using: &random) { await Task.yield() }
            task.cancel()
        }
        do {
            let lease = try await task.value
            crowd.state.withLock { state in
                state.inside += count
                state.most = max(state.most, state.inside)
                state.grants += 1
            }
            for _ in 0..<turns { await Task.yield() }
            crowd.state.withLock { $0.inside -= count }
            await lease.release()
        } catch let error as RecipeError where [.timedOut, .notAvailable].contains(error.code) {
        } catch is CancellationError where way == 2 {
        }
    }
}
