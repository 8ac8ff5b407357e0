import Synchronization
import Testing

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct OneShotTests {
    @Test func `the first value wins`() async throws {
        let shot = OneShot<Int>()
        #expect(shot.value == nil)
        #expect(shot.set(1))
        #expect(!shot.set(2))
        #expect(shot.value == 1)
        #expect(try await shot.wait() == 1)
    }

    @Test func `of many setters one wins, and all waiters get its value`() async throws {
        let shot = OneShot<Int>()
        let values = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<20 { group.addTask { try await shot.wait() } }
            for number in 0..<20 {
                group.addTask {
                    shot.set(number)
                    return try await shot.wait()
                }
            }
            return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect(values.count == 1)
        #expect(values.first == shot.value)
    }

    @Test func `cancelling a waiter ends its wait alone`() async throws {
        let shot = OneShot<Int>()
        let cancelled = Task { try await shot.wait() }
        let patient = Task { try await shot.wait() }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        shot.set(3)
        #expect(try await patient.value == 3)
    }

    @Test func `a wait that begins cancelled ends at once, but a value that is there is given`() async throws {
        let shot = OneShot<Int>()
        let begun = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await shot.wait()
        }
        await #expect(throws: CancellationError.self) { try await begun.value }
        shot.set(1)
        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await shot.wait()
        }
        #expect(try await late.value == 1)
    }

    @Test func `cancelling and setting at the same time resumes exactly once`() async {
        for _ in 0..<500 {
            let shot = OneShot<Int>()
            let waiter = Task { try await shot.wait() }
            async let cancelling: Void = waiter.cancel()
            async let setting = shot.set(1)
            _ = await (cancelling, setting)
            if case .success(let value) = await waiter.result { #expect(value == 1) }
        }
    }

    @Test func `observers are called once each, those who come late at once`() {
        let shot = OneShot<Int>()
        let seen = Seen()
        shot.observe { seen.add($0) }
        shot.observe { seen.add($0 * 10) }
        #expect(seen.values == [])
        shot.set(1)
        shot.set(2)
        #expect(seen.values == [1, 10])
        shot.observe { seen.add($0 * 100) }
        #expect(seen.values == [1, 10, 100])
    }

    private final class Seen: Sendable {
        private let list = Mutex<[Int]>([])

        var values: [Int] { list.withLock { $0 } }

        func add(_ value: Int) {
            list.withLock { $0.append(value) }
        }
    }
}
