import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// The ways to hold a mutex.
enum MutexForm: String, CaseIterable, Sendable {
    case body, handle

    /// Holds a mutex until told to let go.
    func hold(_ mutex: DistributedMutex) -> Holder {
        switch self {
        case .body: .locks(mutex)
        case .handle:
            Holder { body in
                let lease = try await mutex.acquire()
                do {
                    try await body(lease)
                } catch {
                    await lease.release()
                    throw error
                }
                await lease.release()
            }
        }
    }

    /// Expects that a holder learns of a loss: a body is cancelled and its call fails, a handle only tells.
    func expectLoss(_ holder: Holder, _ reasons: LossReason...) async throws {
        let lease = try await holder.lease
        let reason = try await lease.waitUntilLost()
        #expect(reasons.contains(reason))
        #expect(!lease.isValid && lease.validUntil == nil)
        switch self {
        case .body:
            #expect(await holder.lockError() == RecipeError(.lost, in: .lock, path: LockScene.path, lossReason: reason))
            #expect(holder.isCancelled)
        case .handle:
            // Told a moment after `lost`; and nothing gives the lock up in between, as the end of a body does.
            for await state in lease.states where state.isLost {
                #expect(state.lossReason == reason)
                break
            }
            #expect(!holder.isCancelled)
            await #expect(throws: RecipeError.self) { try await lease.transaction([.check("/")]) }
            try await holder.finish()
        }
    }
}

/// What happens to those who hold a mutex and who wait for it, by body and by handle.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(5)))
struct MutexFaultTests {
    /// Lets the other client hold the mutex, and the client behind the proxy wait for it.
    private func withWaiter(
        _ form: MutexForm, sessionTimeout: Duration = .seconds(20),
        _ body: @escaping @Sendable (LockScene, _ holder: Holder, _ waiter: Holder) async throws -> Void
    ) async throws {
        try await LockScene.with(sessionTimeout: sessionTimeout) { scene in
            let holder = form.hold(try scene.otherMutex)
            _ = try await holder.lease
            let waiter = form.hold(try scene.mutex)
            try await scene.contenders { $0.count == 2 }
            try await body(scene, holder, waiter)
            try await scene.contenders { $0.isEmpty }
        }
    }

    /// Lets the client behind the proxy hold the mutex, and the other client wait for it.
    private func withHolder(
        _ form: MutexForm, sessionTimeout: Duration = .seconds(20),
        _ body: @escaping @Sendable (LockScene, _ holder: Holder, _ next: Holder) async throws -> Void
    ) async throws {
        try await LockScene.with(sessionTimeout: sessionTimeout) { scene in
            let holder = form.hold(try scene.mutex)
            _ = try await holder.lease
            let next = form.hold(try scene.otherMutex)
            try await scene.contenders { $0.count == 2 }
            try await body(scene, holder, next)
            try await scene.contenders { $0.isEmpty }
        }
    }

    // MARK: Who holds

    @Test(arguments: MutexForm.allCases)
    func `a connection lost for less than the deadline leaves the mutex with its holder`(
        _ form: MutexForm
    ) async throws {
        try await withHolder(form) { scene, holder, next in
            let (lease, names) = (try await holder.lease, try await scene.contenders())
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            #expect(lease.isValid && !next.isGranted)
            await scene.proxy.accept()
            await scene.client.state { $0.isConnected }
            #expect(lease.isValid && !holder.isCancelled && !next.isGranted)
            #expect(try await scene.contenders() == names)
            try await holder.finish()
            #expect(lease.state == .released)
            #expect(try await next.lease.fencingToken > lease.fencingToken)
            try await next.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `a connection lost beyond the deadline ends the mutex before the next one has it`(
        _ form: MutexForm
    ) async throws {
        try await withHolder(form, sessionTimeout: .seconds(4)) { scene, holder, next in
            let lease = try await holder.lease
            await scene.proxy.refuse()
            await scene.proxy.cut()
            let following = try await next.lease
            #expect(!lease.isValid && following.isValid)
            #expect(following.fencingToken > lease.fencingToken)
            await scene.proxy.accept()
            try await form.expectLoss(holder, .deadlinePassed)
            try await next.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `an expired session ends the mutex, and the next one's token is higher`(_ form: MutexForm) async throws {
        try await withHolder(form) { scene, holder, next in
            let token = try await holder.lease.fencingToken
            try await scene.server.expireSession(of: scene.client)
            #expect(try await next.lease.fencingToken > token)
            try await form.expectLoss(holder, .sessionEnded, .znodeDeleted)
            #expect(try await next.lease.isValid)
            try await next.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `a holder whose znode is deleted has lost the mutex`(_ form: MutexForm) async throws {
        try await withHolder(form) { scene, holder, next in
            let token = try await holder.lease.fencingToken
            try await scene.other.delete(scene.path(scene.contenders()[0]))
            try await form.expectLoss(holder, .znodeDeleted)
            #expect(try await next.lease.fencingToken > token)
            try await next.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `a server that restarts moves neither the holder nor who waits`(_ form: MutexForm) async throws {
        try await withHolder(form, sessionTimeout: .seconds(30)) { scene, holder, next in
            let (lease, names) = (try await holder.lease, try await scene.contenders())
            await scene.server.kill()
            await scene.client.state { $0.isSuspended }
            await scene.other.state { $0.isSuspended }
            #expect(lease.isValid)
            try await scene.server.start()
            await scene.client.state { $0.isConnected }
            await scene.other.state { $0.isConnected }
            #expect(try await scene.contenders() == names)
            #expect(lease.isValid && !holder.isCancelled && !next.isGranted)
            try await holder.finish()
            #expect(try await next.lease.fencingToken > lease.fencingToken)
            try await next.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `a cancelled holder's znode is gone when its call returns`(_ form: MutexForm) async throws {
        try await LockScene.with { scene in
            let holder = form.hold(try scene.mutex)
            let lease = try await holder.lease
            holder.cancel()
            #expect(await holder.error() is CancellationError)
            #expect(try await scene.contenders().isEmpty)
            #expect(holder.isCancelled && lease.state == .released && !lease.isValid)
        }
    }

    // MARK: Who waits

    @Test(arguments: MutexForm.allCases)
    func `a lost connection keeps the place of who waits`(_ form: MutexForm) async throws {
        try await withWaiter(form) { scene, holder, waiter in
            let names = try await scene.contenders()
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            // It came to be the first one while it could not hear of it.
            try await holder.finish()
            #expect(try await scene.contenders() == [names[1]])
            #expect(!waiter.isGranted)
            await scene.proxy.accept()
            #expect(try await waiter.lease.isValid)
            #expect(try await scene.contenders() == [names[1]])
            try await waiter.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `after its session's end who waits joins again, at the end of the queue`(_ form: MutexForm) async throws {
        try await withWaiter(form) { scene, holder, waiter in
            let old = try await scene.contenders()[1]
            let behind = form.hold(try scene.otherMutex)
            try await scene.contenders { $0.count == 3 }
            try await scene.server.expireSession(of: scene.client)
            try await scene.contenders { $0.count == 3 && !$0.contains(old) }
            try await holder.finish()
            let token = try await behind.lease.fencingToken
            #expect(!waiter.isGranted)
            try await behind.finish()
            #expect(try await waiter.lease.fencingToken > token)
            try await waiter.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `a waiter whose znode is deleted joins the mutex again`(_ form: MutexForm) async throws {
        try await withWaiter(form) { scene, holder, waiter in
            let old = try await scene.contenders()[1]
            try await scene.other.delete(scene.path(old))
            try await scene.contenders { $0.count == 2 && !$0.contains(old) }
            #expect(!waiter.isGranted)
            try await holder.finish()
            #expect(try await waiter.lease.isValid)
            try await waiter.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `a task that is cancelled before it asks leaves no znode`(_ form: MutexForm) async throws {
        try await LockScene.with { scene in
            let mutex = try scene.mutex
            let task = Task {
                withUnsafeCurrentTask { unsafe $0?.cancel() }
                switch form {
                case .body: try await mutex.withLock { _ in _ = Issue.record("the body ran") }
                case .handle: try await mutex.acquire().release()
                }
            }
            await #expect(throws: CancellationError.self) { try await task.value }
            try await scene.contenders { $0.isEmpty }
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `a cancelled waiter leaves no znode, and who waits behind it is served`(_ form: MutexForm) async throws {
        try await withWaiter(form) { scene, holder, waiter in
            let names = try await scene.contenders()
            let behind = form.hold(try scene.otherMutex)
            try await scene.contenders { $0.count == 3 }
            waiter.cancel()
            #expect(await waiter.error() is CancellationError)
            let left = try await scene.contenders()
            #expect(left.count == 2 && !left.contains(names[1]))
            #expect(!waiter.isGranted)
            try await holder.finish()
            #expect(try await behind.lease.isValid)
            try await behind.finish()
        }
    }

    @Test(arguments: MutexForm.allCases)
    func `a waiter that is cancelled during an outage leaves no znode once that is over`(
        _ form: MutexForm
    ) async throws {
        try await withWaiter(form) { scene, holder, waiter in
            await scene.proxy.refuse()
            await scene.proxy.cut()
            await scene.client.state { $0.isSuspended }
            waiter.cancel()
            #expect(await waiter.error() is CancellationError)
            await scene.proxy.accept()
            try await scene.contenders { $0.count == 1 }
            try await holder.finish()
        }
    }
}
