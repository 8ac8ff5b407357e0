import Glibc
import Synchronization
import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

@Suite(.timeLimit(.minutes(5))) struct EventCounterTests {
    private let core: GateCore

    init() throws {
        core = GateCore(try ExclusiveMode(client: .withoutServer(clock: StillClock()), path: "/base"))
    }

    @Test func `counts events with and without a lock, and finds the oldest`() {
        let counter = EventCounter(core: core)
        #expect(counter.total == 0)
        #expect(counter.oldest == nil)
        let stripe = counter.ownStripe
        // More than there are places without a lock.
        let places = (0..<20).map { number in
            let place = stripe.enter()
            stripe.note(place, since: 100 - Int64(number))
            return place
        }
        #expect(counter.total == 20)
        #expect(Set(places.map(\.index)).count == 20)
        #expect(counter.oldest == 81)
        for (index, place) in places.enumerated().reversed() {
            #expect(counter.oldest == 100 - Int64(index))
            #expect(stripe.leave(place))
            #expect(counter.total == index)
        }
        #expect(counter.oldest == nil)
    }

    @Test func `an event that has left cannot leave again, also when its place is taken anew`() {
        let stripe = EventCounter(core: core).ownStripe
        // One round with the places without a lock, and one beside them.
        for _ in 0..<2 {
            let place = stripe.enter()
            #expect(stripe.leave(place))
            #expect(!stripe.leave(place))
            let next = stripe.enter()
            #expect(next.index == place.index)
            #expect(!stripe.leave(place))
            #expect(stripe.total % EventStripe.placeCount == 1)
            #expect(stripe.leave(next))
            for _ in 0..<EventStripe.placeCount { _ = stripe.enter() }
        }
    }

    @Test func `threads have stripes of their own`() async {
        let counter = EventCounter(core: core)
        let stripes = await withTaskGroup(of: ObjectIdentifier.self) { group in
            for _ in 0..<EventCounter.stripeCount {
                group.addTask { await onThread { ObjectIdentifier(counter.ownStripe) } }
            }
            return await group.reduce(into: Set()) { $0.insert($1) }
        }
        // Threads of other tests take numbers as well, so a few may meet.
        #expect(stripes.count > EventCounter.stripeCount / 2)
        #expect(counter.ownStripe === counter.ownStripe)
    }

    /// What the threads of the test below share.
    private final class Scene: Sendable {
        let core: GateCore
        let stripes: [EventStripe]
        let isClosed = Atomic(false)
        let isOver = Atomic(false)
        let entered = Atomic(0)
        /// Written inside by everybody, without any order: whoever is inside after the closing shows here.
        let inside = Atomic(0)

        init(_ core: GateCore) {
            self.core = core
            stripes = (0..<2).map { _ in EventStripe(core: core) }
        }

        var total: Int { stripes.reduce(0) { $0 + $1.total } }
    }

    @Test func `nobody is inside once the flag is set and the total is zero`() async {
        let scene = Scene(core)
        let rounds = 100_000
        var violations = 0
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask { await onThread { Self.comeAndGo(scene) } }
            }
            group.addTask { await onThread { Self.close(scene, rounds: rounds) } }
            for await count in group { violations += count }
        }
        #expect(violations == 0)
        #expect(scene.total == 0)
        #expect(scene.entered.load(ordering: .relaxed) > 0)
    }

    /// The steps of an event on stripes that threads share, beside others, so that all kinds of places are used.
    private static func comeAndGo(_ scene: Scene) -> Int {
        var number = 0
        while !scene.isOver.load(ordering: .relaxed) {
            if scene.isClosed.load(ordering: .relaxed) { continue }
            let stripe = scene.stripes[number % 2]
            number &+= 1
            let others = (0..<(number % 12)).map { _ in stripe.enter() }
            let place = stripe.enter()
            if !scene.isClosed.load(ordering: .sequentiallyConsistent) {
                scene.inside.add(1, ordering: .relaxed)
                scene.entered.add(1, ordering: .relaxed)
                scene.inside.subtract(1, ordering: .relaxed)
            }
            for place in [place] + others where !stripe.leave(place) { return 1 }
        }
        return 0
    }

    /// Closes, waits for zero, looks whether somebody is inside all the same, opens.
    private static func close(_ scene: Scene, rounds: Int) -> Int {
        var violations = 0
        for _ in 0..<rounds {
            scene.isClosed.store(true, ordering: .sequentiallyConsistent)
            while scene.total > 0 { sched_yield() }
            let before = scene.entered.load(ordering: .relaxed)
            for _ in 0..<4 where scene.inside.load(ordering: .relaxed) != 0 { violations += 1 }
            if scene.entered.load(ordering: .relaxed) != before { violations += 1 }
            scene.isClosed.store(false, ordering: .sequentiallyConsistent)
        }
        scene.isOver.store(true, ordering: .relaxed)
        return violations
    }
}

/// Runs blocking work on a thread of its own.
func onThread<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        let box = Unmanaged.passRetained(ThreadWork { continuation.resume(returning: work()) })
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                // Never called without one: it is passed right below.
                if let argument { Unmanaged<ThreadWork>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        precondition(code == 0, "no thread could be made")
        pthread_detach(thread)
    }
}

private final class ThreadWork: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
