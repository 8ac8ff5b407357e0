import Testing

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct CancellerTests {
    @Test func `an operation sees a cancellation before and while it runs, also if it does not suspend`() async throws {
        let early = Canceller()
        early.cancel()
        #expect(try await early.outcome { Task.isCancelled }.get())
        let canceller = Canceller()
        let seen = await canceller.outcome {
            let before = Task.isCancelled
            canceller.cancel()
            return (before, Task.isCancelled)
        }
        #expect(try seen.get() == (false, true))
        #expect(!Task.isCancelled)
    }

    @Test func `the cancellation of the caller reaches the operation, and one after its end does nothing`() async throws
    {
        let (canceller, started) = (Canceller(), OneShot<Void>())
        let caller = Task {
            await canceller.outcome {
                started.set(())
                return try await OneShot<Int>().wait()
            }
        }
        try await started.wait()
        caller.cancel()
        let result = await caller.value
        #expect(throws: CancellationError.self) { try result.get() }
        let ended = Canceller()
        #expect(try await ended.outcome { 7 }.get() == 7)
        ended.cancel()
        #expect(!Task.isCancelled)
    }

    @Test func `a deadline cancels the operation, and its value is not lost`() async throws {
        let clock = ManualClock()
        let late = Task {
            await clock.outcome(
                of: {
                    _ = try? await OneShot<Void>().wait()
                    return 7
                }, cancelledAt: clock.now + .seconds(1))
        }
        await clock.waitForSleeper(until: clock.now + .seconds(1))
        clock.advance(by: .seconds(1))
        let (result, isLate) = await late.value
        #expect(try result.get() == 7 && isLate)
        #expect(try await clock.run(until: clock.now + .seconds(1)) { 7 } == 7)
        #expect(try await clock.run(until: clock.now) { try await OneShot<Int>().wait() } == nil)
    }
}
