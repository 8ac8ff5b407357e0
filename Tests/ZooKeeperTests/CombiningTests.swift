import Synchronization
import Testing

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct CombiningTests {
    private struct Numbers: Combining {
        var waiting: [Int] = []
        var isPerforming = false

        mutating func next() -> Int? { waiting.isEmpty ? nil : waiting.removeFirst() }
    }

    private final class Worker: Sendable {
        let numbers = Mutex(Numbers())
        let added = Mutex<[Int]>([])
        let performed = Mutex<[Int]>([])
        let isBusy = Atomic(false)

        func add(_ number: Int, _ inside: (Int) -> Void = { _ in }) {
            numbers.withLock { $0.waiting.append(number) }
            numbers.combine(next: { $0.next() }) { number in
                performed.withLock { $0.append(number) }
                inside(number)
            }
        }
    }

    @Test func `work that is added inside a performance is performed after it, without a recursion`() {
        let worker = Worker()
        worker.add(1) { number in
            guard number < 4 else { return }
            worker.add(number + 1)
            let performed = worker.performed.withLock { $0 }
            #expect(performed == Array(1...number))
        }
        let performed = worker.performed.withLock { $0 }
        #expect(performed == [1, 2, 3, 4])
    }

    @Test func `no lock is held during a performance`() {
        let worker = Worker()
        worker.add(1) { _ in
            let isPerforming = worker.numbers.withLock(\.isPerforming)
            #expect(isPerforming)
        }
        let isPerforming = worker.numbers.withLock(\.isPerforming)
        #expect(!isPerforming)
    }

    @Test func `work of many threads is performed one at a time, in the order in which it was added`() async {
        let worker = Worker()
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    for number in 0..<500 {
                        let number = thread * 1000 + number
                        worker.numbers.withLock { numbers in
                            numbers.waiting.append(number)
                            worker.added.withLock { $0.append(number) }
                        }
                        worker.numbers.combine(next: { $0.next() }) { number in
                            let wasBusy = worker.isBusy.exchange(true, ordering: .relaxed)
                            #expect(!wasBusy)
                            worker.performed.withLock { $0.append(number) }
                            worker.isBusy.store(false, ordering: .relaxed)
                        }
                    }
                }
            }
        }
        let (performed, order) = (worker.performed.withLock { $0 }, worker.added.withLock { $0 })
        #expect(performed == order)
    }
}
