package import ZooKeeper

/// A process's clock: virtual time at the process's own rate.
package struct SimulatedClock: MonotonicClock {
    private let process: Confined<SimulatedProcess>

    package init(_ process: SimulatedProcess) {
        self.process = Confined(process)
    }

    package var now: MonotonicInstant { process.value.readClock() }

    package func sleep(until deadline: MonotonicInstant) async throws {
        try Task.checkCancellation()
        let due = process.value.trueTime(of: deadline)
        guard due > process.value.simulation.now else { return }
        let sleep = Confined(Sleep(of: process.value))
        await withTaskCancellationHandler {
            await withCheckedContinuation { sleep.value.begin(until: due, $0) }
        } onCancel: {
            sleep.value.cancel()
        }
        if sleep.value.isCancelled { throw CancellationError() }
    }
}

/// One sleep of one task; it leaves nothing to do in the world when it is cancelled.
private final class Sleep {
    private let process: SimulatedProcess
    private var continuation: CheckedContinuation<Void, Never>?
    private var timer: Agenda.Ticket?
    private(set) var isCancelled = false

    init(of process: SimulatedProcess) {
        self.process = process
    }

    func begin(until due: MonotonicInstant, _ continuation: CheckedContinuation<Void, Never>) {
        if isCancelled { return continuation.resume() }
        self.continuation = continuation
        timer = process.simulation.enter(due, by: process) { self.end() }
    }

    func cancel() {
        // Who was woken in time has slept well.
        guard continuation != nil || timer == nil else { return }
        isCancelled = true
        if let timer { process.simulation.cancel(timer) }
        end()
    }

    private func end() {
        continuation?.resume()
        continuation = nil
    }
}
