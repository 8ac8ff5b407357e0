import Testing

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct WakeUpTests {
    @Test func `a signal before the wait is not lost`() async {
        let wakeUp = WakeUp()
        wakeUp.signal()
        await wakeUp.wait(until: nil, clock: ManualClock())
    }

    @Test func `several signals before the wait count as one`() async {
        let wakeUp = WakeUp()
        let clock = ManualClock()
        wakeUp.signal()
        wakeUp.signal()
        await wakeUp.wait(until: nil, clock: clock)
        let second = Task { await wakeUp.wait(until: clock.now + .seconds(1), clock: clock) }
        await clock.waitForSleeper()
        clock.advance(by: .seconds(1))
        await second.value
        #expect(clock.now == MonotonicInstant(nanoseconds: 1_000_000_000))
    }

    @Test func `a signal ends a wait before its deadline`() async {
        let wakeUp = WakeUp()
        let clock = ManualClock()
        let waiting = Task { await wakeUp.wait(until: clock.now + .seconds(1), clock: clock) }
        await clock.waitForSleeper()
        wakeUp.signal()
        await waiting.value
        #expect(clock.now == MonotonicInstant(nanoseconds: 0))
    }

    @Test func `a wait that its deadline ended does not end the waits after it`() async {
        let wakeUp = WakeUp()
        let clock = ManualClock()
        await wakeUp.wait(until: clock.now, clock: clock)
        let ended = OneShot<Void>()
        let waiting = Task {
            await wakeUp.wait(until: clock.now + .seconds(1), clock: clock)
            ended.set(())
        }
        await clock.waitForSleeper()
        for _ in 0..<100 { await Task.yield() }
        #expect(ended.value == nil)
        wakeUp.signal()
        await waiting.value
    }

    @Test func `cancelling a wait ends it and leaves the next one unharmed`() async {
        let wakeUp = WakeUp()
        let clock = ManualClock()
        let cancelled = Task { await wakeUp.wait(until: nil, clock: clock) }
        cancelled.cancel()
        await cancelled.value
        let waiting = Task { await wakeUp.wait(until: nil, clock: clock) }
        for _ in 0..<100 { await Task.yield() }
        wakeUp.signal()
        await waiting.value
    }

    @Test func `a thousand signals from another task are each seen or joined with a later one`() async {
        let wakeUp = WakeUp()
        let counter = Broadcast(0)
        let sender = Task {
            for number in 1...1000 {
                counter.send(number)
                wakeUp.signal()
                await Task.yield()
            }
        }
        while counter.current < 1000 { await wakeUp.wait(until: nil, clock: ManualClock()) }
        await sender.value
    }
}
