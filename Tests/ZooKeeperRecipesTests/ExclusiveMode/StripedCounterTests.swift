import Glibc
import Synchronization
import Testing

@testable import ZooKeeperRecipes

@Suite(.timeLimit(.minutes(5))) struct StripedCounterTests {
    @Test func `counts per stripe and in all`() {
        let counter = StripedCounter()
        #expect(counter.total == 0)
        #expect(counter.busySince == nil)
        #expect(counter.enter(3))
        counter.noteBusy(3, since: 100)
        #expect(!counter.enter(3))
        #expect(counter.enter(7))
        counter.noteBusy(7, since: 50)
        #expect(counter.total == 3)
        #expect(counter.busySince == 50)
        counter.leave(7)
        #expect(counter.busySince == 100)
        counter.leave(3)
        counter.leave(3)
        #expect(counter.total == 0)
        #expect(counter.busySince == nil)
    }

    @Test func `every thread has a stripe`() async {
        let stripes = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<64 { group.addTask { StripedCounter.stripeOfThread() } }
            return await group.reduce(into: Set()) { $0.insert($1) }
        }
        #expect(stripes.allSatisfy { (0..<16).contains($0) })
    }

    /// What the threads of the test below share.
    private final class Scene: Sendable {
        let counter = StripedCounter()
        let isClosed = Atomic(false)
        let isOver = Atomic(false)
        let entered = Atomic(0)
        /// Written inside by everybody, without any order: whoever is inside after the closing shows here.
        let inside = Atomic(0)
    }

    @Test func `nobody is inside once the flag is set and the total is zero`() async {
        let scene = Scene()
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
        #expect(scene.counter.total == 0)
        #expect(scene.entered.load(ordering: .relaxed) > 0)
    }

    /// The hot path of the gate, on whatever stripe the thread has, with a permit that another thread might give back.
    private static func comeAndGo(_ scene: Scene) -> Int {
        var number = 0
        while !scene.isOver.load(ordering: .relaxed) {
            if scene.isClosed.load(ordering: .relaxed) { continue }
            let stripe = (StripedCounter.stripeOfThread() + number) % 16
            number &+= 1
            _ = scene.counter.enter(stripe)
            if !scene.isClosed.load(ordering: .sequentiallyConsistent) {
                scene.inside.add(1, ordering: .relaxed)
                scene.entered.add(1, ordering: .relaxed)
                scene.inside.subtract(1, ordering: .relaxed)
            }
            scene.counter.leave(stripe)
        }
        return 0
    }

    /// Closes, waits for zero, looks whether somebody is inside all the same, opens.
    private static func close(_ scene: Scene, rounds: Int) -> Int {
        var violations = 0
        for _ in 0..<rounds {
            scene.isClosed.store(true, ordering: .sequentiallyConsistent)
            while scene.counter.total > 0 { sched_yield() }
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
