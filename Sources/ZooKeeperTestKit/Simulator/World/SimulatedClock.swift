internal import Synchronization
package import ZooKeeper

/// A process's clock: virtual time at the process's own rate.
package struct SimulatedClock: MonotonicClock {
    private let process: Confined<SimulatedProcess>

    package init(_ process: SimulatedProcess) {
        self.process = Confined(process)
    }

    package var now: MonotonicInstant { process.value.readClock() }

    package func sleep(until deadline: MonotonicInstant) async throws {
        let end = OneShot<Void>()
        let process = process.value
        let due = process.trueTime(of: deadline)
        guard due > process.simulation.now else {
            try Task.checkCancellation()
            return
        }
        process.simulation.at(due, by: process) { end.set(()) }
        try await end.wait()
    }
}
