import Synchronization
import Testing
import ZooKeeperTransport

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// Who is let in and when, without an ensemble: sessions and what they prove are made by hand.
@Suite(.timeLimit(.minutes(5))) struct EventGateAdmissionTests {
    @Test func `an operation that begins after all inside were cancelled is cancelled too`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        let permit = try #require(scene.gate.tryEnter())
        // The gate's run() is cancelled; the session and the znode still exist.
        scene.gate.stop(cancelsInside: true)
        #expect(permit.isValid)
        #expect(try await scene.gate.run(permit) { _ in Task.isCancelled })
        #expect(scene.gate.counter.total == 0)
        // Not those of a later grant.
        let again = try GateScene()
        again.prove(until: 4)
        again.openGate(1).hold.lose(.znodeDeleted)
        _ = again.openGate(2)
        let later = try #require(again.gate.tryEnter())
        #expect(try await !again.gate.run(later) { _ in Task.isCancelled })
    }

    @Test func `a gate that was never opened lets nobody in`() throws {
        #expect(try GateScene().isShut)
    }

    @Test func `events are admitted until the deadline less what an event may take`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        let permit = try #require(scene.gate.tryEnter())
        #expect(permit.fencingToken.rawValue == 1)
        #expect(permit.isValid)
        scene.clock.set(.milliseconds(3899))
        try #require(scene.gate.tryEnter()).leave()
        scene.clock.set(.milliseconds(3900))
        #expect(scene.gate.tryEnter() == nil)
        #expect(permit.isValid)
        scene.clock.set(.milliseconds(4000))
        #expect(!permit.isValid)
        permit.leave()
        #expect(scene.gate.counter.total == 0)
    }

    @Test func `a proof moves the deadline`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        scene.clock.set(.seconds(5))
        #expect(scene.isShut)
        scene.prove(until: 8)
        try #require(scene.gate.tryEnter()).leave()
        scene.clock.set(.milliseconds(7950))
        #expect(scene.isShut)
    }

    @Test func `a window's signal shuts the gate, and no proof opens it`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.openGate(1)
        let permit = try #require(scene.gate.tryEnter())
        scene.gate.close(grant, .signalled)
        #expect(scene.gate.tryEnter() == nil)
        scene.prove(until: 100)
        scene.clock.set(.seconds(5))
        #expect(scene.gate.tryEnter() == nil)
        #expect(permit.isValid)
        permit.leave()
        #expect(scene.isShut)
    }

    @Test func `a grant that was interrupted before the opening does not open the gate`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.grant(1)
        scene.gate.close(grant, .signalled)
        scene.gate.open(grant)
        #expect(scene.isShut)
        #expect(!scene.gate.state.isOpen)
    }

    @Test func `an earlier grant's end does not shut a later one's gate`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let first = scene.openGate(1)
        scene.gate.close(first, .signalled)
        _ = scene.openGate(2)
        scene.gate.close(first, .lost(.znodeDeleted))
        let permit = try #require(scene.gate.tryEnter())
        #expect(permit.fencingToken.rawValue == 2)
        permit.leave()
    }

    @Test func `the loss of the node shuts the gate at once and makes permits invalid`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.openGate(1)
        let permit = try #require(scene.gate.tryEnter())
        grant.hold.lose(.znodeDeleted)
        #expect(!permit.isValid)
        #expect(scene.gate.tryEnter() == nil)
        #expect(grant.interrupt.value == .lost(.znodeDeleted))
        permit.leave()
        #expect(scene.isShut)
    }

    @Test func `the session's end makes permits invalid`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        let permit = try #require(scene.gate.tryEnter())
        scene.session.markEnded(.sessionEnded)
        #expect(!permit.isValid)
        permit.leave()
    }

    @Test func `those who wait wait on when the deadline was lost just before the loss was told`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.openGate(1)
        scene.clock.set(.seconds(5))
        // What a loss does first, on another thread; the event comes before its observers are called.
        grant.hold.release()
        #expect(scene.gate.tryEnter() == nil)
        scene.gate.close(grant, .lost(.deadlinePassed))
        #expect(scene.gate.core.shared.withLock { $0.opening.value } == nil)
    }

    @Test func `those who wait wait on when the grant was lost just before the opening`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.grant(1)
        grant.hold.release()
        scene.gate.open(grant)
        scene.gate.close(grant, .lost(.znodeDeleted))
        #expect(scene.gate.core.shared.withLock { $0.opening.value } == nil)
    }

    @Test func `a gate that outlasted a signal admits events with the same token, and shuts for the next signal`()
        throws
    {
        let scene = try GateScene()
        scene.prove(until: 4)
        let first = scene.openGate(1)
        let slow = try #require(scene.gate.tryEnter())
        scene.gate.close(first, .signalled)
        #expect(scene.gate.tryEnter() == nil)
        let again = scene.gate.prepare(first.hold)
        scene.gate.open(again)
        let permit = try #require(scene.gate.tryEnter())
        #expect(permit.fencingToken == slow.fencingToken)
        #expect(slow.isValid && permit.isValid)
        permit.leave()
        scene.gate.close(again, .signalled)
        #expect(scene.gate.tryEnter() == nil)
        slow.leave()
        #expect(scene.isShut)
    }

    @Test(arguments: [true, false])
    func `a gate whose znode was deleted while it drained does not open again`(beforePreparing: Bool) throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let first = scene.openGate(1)
        scene.gate.close(first, .signalled)
        if beforePreparing { first.hold.lose(.znodeDeleted) }
        let again = scene.gate.prepare(first.hold)
        if !beforePreparing { first.hold.lose(.znodeDeleted) }
        scene.gate.open(again)
        #expect(again.interrupt.value == .lost(.znodeDeleted))
        #expect(scene.isShut)
    }

    @Test func `a gate that stops while it drains does not open again`() throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let first = scene.openGate(1)
        scene.gate.close(first, .signalled)
        scene.gate.stop()
        let again = scene.gate.prepare(first.hold)
        scene.gate.open(again)
        #expect(again.interrupt.value == .stopped)
        #expect(scene.isShut)
    }

    @Test func `a grant that has ended is not kept in memory, nor is its gate`() throws {
        weak var node: HeldNode?
        weak var ended: GateGrant?
        weak var gate: EventGate?
        do {
            let scene = try GateScene()
            scene.prove(until: 4)
            gate = scene.gate
            do {
                let first = scene.openGate(1)
                scene.gate.close(first, .signalled)
                let again = scene.gate.prepare(first.hold)
                scene.gate.open(again)
                scene.gate.close(again, .signalled)
                first.hold.release()
                (node, ended) = (first.hold, again)
            }
            _ = scene.openGate(2)
            #expect(node == nil)
            #expect(ended == nil)
        }
        #expect(gate == nil)
    }

    @Test func `who is refused by a shut gate is never counted`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.openGate(1)
        scene.gate.close(grant, .signalled)
        let (gate, poll) = (scene.gate, Poll())
        let counted = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask { await onThread { poll.tryAgainAndAgain(gate) } }
            }
            group.addTask { await onThread { poll.look(at: gate) } }
            return await group.reduce(0, +)
        }
        #expect(counted == 0)
    }

    @Test func `waiting for the gate ends with the task and with the gate`() async throws {
        let scene = try GateScene()
        let waiting = Task { [gate = scene.gate] in try await gate.enter() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        scene.gate.core.shared.withLock { $0.isStopped = true }
        let error = await #expect(throws: RecipeError.self) { try await scene.gate.enter() }
        #expect(error?.code == .stopped)
    }

    @Test func `an operation inside is cancelled by the loss, and awaited`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.openGate(1)
        let (began, ended) = (OneShot<Void>(), OneShot<Bool>())
        let work = Task { [gate = scene.gate] in
            try await gate.withPermit { permit in
                began.set(())
                let never = OneShot<Void>()
                do {
                    try await never.wait()
                } catch {
                    ended.set(gate.counter.total == 1)
                    throw error
                }
            }
        }
        _ = try await began.wait()
        grant.hold.lose(.deadlinePassed)
        let error = await #expect(throws: RecipeError.self) { try await work.value }
        #expect(error?.code == .lost)
        #expect(error?.lossReason == .deadlinePassed)
        #expect(ended.value == true)
        #expect(scene.gate.counter.total == 0)
    }

    @Test func `an element waits while the gate is shut, and its permit ends with the iteration`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let (numbers, continuation) = AsyncStream.makeStream(of: Int.self)
        let seen = Broadcast(0)
        let reader = Task { [gate = scene.gate] in
            for try await (number, permit) in numbers.gated(by: gate) {
                #expect(gate.counter.total == 1)
                #expect(permit.isValid)
                seen.send(number)
                if number == 2 { break }
            }
            return gate.counter.total
        }
        continuation.yield(1)
        continuation.yield(2)
        continuation.yield(3)
        #expect(seen.current == 0)
        #expect(scene.gate.counter.total == 0)
        _ = scene.openGate(1)
        #expect(try await reader.value == 0)
        #expect(seen.current == 2)
    }

    @Test func `no element is taken while the gate is shut`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let events = Numbers()
        let gated = events.gated(by: scene.gate)
        let reader = Task {
            for try await _ in gated { Issue.record("an element came through a shut gate") }
        }
        reader.cancel()
        await #expect(throws: CancellationError.self) { try await reader.value }
        #expect(events.taken == 0)
        _ = scene.openGate(1)
        var iterator = gated.makeAsyncIterator()
        #expect(try await iterator.next()?.0 == 1)
    }

    @Test(arguments: [true, false])
    func `an element that was taken and could not enter comes with the next call`(otherIterator: Bool) async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.openGate(1)
        let (gate, reading) = (scene.gate, OneShot<Void>())
        // The gate shuts while the element is awaited.
        let events = Numbers {
            gate.close(grant, .signalled)
            reading.set(())
        }
        let gated = events.gated(by: gate)
        let reader = Task {
            var iterator = gated.makeAsyncIterator()
            let error = await #expect(throws: CancellationError.self) { try await iterator.next() }
            // Opened by hand, so that the cancelled task need not wait.
            let again = gate.prepare(grant.hold)
            gate.open(again)
            events.onNext.withLock { $0 = {} }
            #expect(error != nil && events.taken == 1)
            if otherIterator { iterator = gated.makeAsyncIterator() }
            return [try await iterator.next()?.0, try await iterator.next()?.0]
        }
        try await reading.wait()
        reader.cancel()
        #expect(try await reader.value == [1, 2])
        #expect(gate.counter.total == 0)
    }

    @Test func `when the gate stops, an element that was taken can be had from the sequence`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        let grant = scene.openGate(1)
        let gate = scene.gate
        let events = Numbers {
            gate.close(grant, .stopped)
            gate.core.shared.withLock { $0.isStopped = true }
        }
        let gated = events.gated(by: gate)
        let error = await #expect(throws: RecipeError.self) { for try await _ in gated {} }
        #expect(error?.code == .stopped)
        #expect(gated.takeUnprocessed() == [1])
        #expect(gated.takeUnprocessed().isEmpty)
    }

    // MARK: Permits inside permits

    @Test func `a permit inside a permit is refused, in child tasks as well`() async throws {
        let scene = try GateScene()
        scene.prove(until: 4)
        _ = scene.openGate(1)
        let gate = scene.gate
        let second = gate.mode.gate(id: "second gate")
        let codes = try await gate.withPermit { _ in
            async let child = recipeErrorCode { try await gate.withSynchronousPermit { _ in } }
            let grandchild = await withTaskGroup(of: RecipeError.Code?.self) { group in
                group.addTask { await recipeErrorCode { try await gate.withSynchronousPermit { _ in } } }
                return await group.next() ?? nil
            }
            let inherited = await Task { await recipeErrorCode { try await gate.enter().leave() } }.value
            let sequence = await recipeErrorCode { for try await _ in Numbers().gated(by: gate) {} }
            let sameMode = await recipeErrorCode { try await second.enter().leave() }
            return [await child, grandchild, inherited, sequence, sameMode]
        }
        #expect(codes == Array(repeating: .alreadyHeld, count: 5))
        #expect(gate.counter.total == 0)
    }

    @Test func `a permit after a permit, in a detached task, and of another base path is not refused`() async throws {
        let (scene, other) = (try GateScene(), try GateScene())
        for one in [scene, other] {
            one.prove(until: 4)
            _ = one.openGate(1)
        }
        let (gate, otherGate, left) = (scene.gate, other.gate, OneShot<Void>())
        let late = try await gate.withPermit { _ in
            try await otherGate.withPermit { _ in
                #expect(await recipeErrorCode { try await gate.enter().leave() } == .alreadyHeld)
            }
            let detached = Task.detached { await recipeErrorCode { try await gate.withSynchronousPermit { _ in } } }
            #expect(await detached.value == nil)
            try #require(gate.tryEnter()).leave()
            return Task {
                try await left.wait()
                try await gate.withPermit { _ in
                    #expect(await recipeErrorCode { try await gate.enter().leave() } == .alreadyHeld)
                }
            }
        }
        left.set(())
        try await late.value
        #expect(gate.counter.total == 0)
    }

    // MARK: Settings

    @Test func `settings that cannot be are refused by name`() throws {
        let scene = try GateScene()
        let settings: [(String, (inout ExclusiveMode.Configuration) -> Void)] = [
            ("eventAllowance", { $0.eventAllowance = .milliseconds(-1) }),
            ("eventAllowance", { $0.eventAllowance = scene.client.configuration.sessionTimeout }),
            ("resumeDelay", { $0.resumeDelay = .seconds(-1) }),
            ("drainReportDelay", { $0.drainReportDelay = .nanoseconds(-1) }),
            ("assumedSessionTimeout", { $0.assumedSessionTimeout = .seconds(Int64.min) }),
        ]
        for (name, change) in settings {
            var configuration = ExclusiveMode.Configuration()
            change(&configuration)
            let error = #expect(throws: ZooKeeperError.self) {
                try ExclusiveMode(client: scene.client, path: "/base", configuration: configuration)
            }
            #expect(error?.code == .invalidConfiguration)
            #expect(error?.message?.contains(name) == true)
        }
    }
}

extension EventGate {
    /// Opens the gate, unless the grant was interrupted.
    func open(_ grant: GateGrant) { handle(.open(grant.number)) }

    /// Interrupts a grant as the thread does that notices why.
    func close(_ grant: GateGrant, _ interrupt: GateAdmission.Interrupt) {
        switch interrupt {
        case .signalled: handle(.signalled(grant.number))
        case .stopped: handle(.stop(cancelsInside: false))
        case .lost(let reason): handle(.lost(grant.token, reason))
        }
    }
}

/// Counts up from 1 without an end.
private final class Numbers: AsyncSequence, Sendable {
    private let count = Atomic(0)
    /// Called before a number is given.
    let onNext: Mutex<@Sendable () -> Void>

    init(onNext: @escaping @Sendable () -> Void = {}) { self.onNext = Mutex(onNext) }

    /// How many numbers were taken.
    var taken: Int { count.load(ordering: .sequentiallyConsistent) }

    func makeAsyncIterator() -> Iterator { Iterator(numbers: self) }

    struct Iterator: AsyncIteratorProtocol {
        let numbers: Numbers

        mutating func next() async -> Int? {
            numbers.onNext.withLock { $0 }()
            return numbers.count.add(1, ordering: .sequentiallyConsistent).newValue
        }
    }
}

/// Threads that try a gate without a pause, and one that looks whether they are counted.
private final class Poll: Sendable {
    private let tries = Atomic(0)
    private let isOver = Atomic(false)

    /// Gives how often the gate let somebody in.
    func tryAgainAndAgain(_ gate: EventGate) -> Int {
        var entered = 0
        while !isOver.load(ordering: .relaxed) {
            entered += gate.tryEnter() == nil ? 0 : 1
            tries.add(1, ordering: .relaxed)
        }
        return entered
    }

    /// Gives how often somebody was counted.
    func look(at gate: EventGate) -> Int {
        var counted = 0
        while tries.load(ordering: .relaxed) < 100_000 { counted += gate.counter.total == 0 ? 0 : 1 }
        isOver.store(true, ordering: .relaxed)
        return counted
    }
}
