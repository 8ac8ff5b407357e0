import Dispatch
import Synchronization
import Testing

@testable import ZooKeeper

/// What was called, in order.
private final class Called: Sendable {
    private let numbers = Mutex<[Int]>([])
    let three = OneShot<[Int]>()

    func add(_ number: Int) {
        let all = numbers.withLock { numbers in
            numbers.append(number)
            return numbers
        }
        if all.count == 3 { three.set(all) }
    }
}

@Suite(.timeLimit(.minutes(5)))
struct UpkeepThreadTests {
    private let clock = SystemMonotonicClock()

    @Test func `timers are called in the order of their instants`() async throws {
        let called = Called()
        let start = clock.now + .milliseconds(20)
        // On the thread itself, which calls none of them meanwhile, however slow this is.
        _ = UpkeepThread.shared.schedule(at: clock.now) {
            for number in [3, 1, 2] {
                _ = UpkeepThread.shared.schedule(at: start + .milliseconds(number)) { called.add(number) }
            }
        }
        #expect(try await called.three.wait() == [1, 2, 3])
        #expect(clock.now >= start + .milliseconds(3))
    }

    @Test func `a cancelled timer is not called and leaves nothing behind`() async throws {
        final class Held: Sendable {}
        weak var gone: Held?
        let before = UpkeepThread.shared.timerCount
        for _ in 0..<10_000 {
            let held = Held()
            gone = held
            let timer = UpkeepThread.shared.schedule(at: clock.now + .seconds(3600)) { [held] in
                Issue.record("called, with \(held)")
            }
            timer.cancel()
        }
        #expect(gone == nil)
        // Other tests of this process have timers as well.
        #expect(UpkeepThread.shared.timerCount < before + 1000)
    }

    @Test func `a sleep that is cancelled ends at once and leaves nothing behind`() async throws {
        let before = UpkeepThread.shared.timerCount
        for _ in 0..<1000 {
            let task = Task { try await clock.sleep(until: clock.now + .seconds(3600)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        #expect(UpkeepThread.shared.timerCount < before + 500)
    }

    @Test func `a sleep lasts until its deadline, and no time if that has passed`() async throws {
        let deadline = clock.now + .milliseconds(30)
        try await clock.sleep(until: deadline)
        #expect(clock.now >= deadline)
        try await clock.sleep(until: deadline)
        try await clock.sleep(until: .distantPast)
    }

    @Test func `tasks and sleeps on this thread go on while all threads of the pool are busy`() async throws {
        let (busy, mayEnd) = (OneShot<Void>(), OneShot<Void>())
        let deadline = clock.now + .milliseconds(200)
        await withTaskGroup(of: Void.self) { group in
            group.addTask(executorPreference: UpkeepThread.shared) { [clock] in
                while busy.value == nil { try? await clock.sleep(until: clock.now + .milliseconds(1)) }
                try? await clock.sleep(until: deadline)
                mayEnd.set(())
            }
            for _ in 0..<64 {
                group.addTask {
                    busy.set(())
                    // Computes without suspending.
                    while mayEnd.value == nil {}
                }
            }
        }
        #expect(clock.now >= deadline)
    }
}
