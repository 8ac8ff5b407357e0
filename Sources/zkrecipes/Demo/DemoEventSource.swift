import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes

/// Makes events at a rate and processes them behind a gate: each event writes one record, inside its permit.
///
/// Of the events of each tick the last takes two milliseconds, so that there is something to drain. What falls into a
/// pause is not made up for.
final class DemoEventSource: Service {
    /// The time from one tick to the next.
    private static let tick = Duration.milliseconds(5)
    private static let longEvent = Duration.milliseconds(2)

    private let gate: EventGate
    private let rate: Int
    private let log: EventLog

    init(gate: EventGate, rate: Int, log: consuming EventLog) {
        self.gate = gate
        self.rate = rate
        self.log = log
    }

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown { try await self.processEvents() }
        } catch is CancellationError {
            // Stopped, as asked.
        } catch let error as ExclusiveModeError where error.code == .gateStopped {
            // The gate stopped first.
        }
    }

    private func processEvents() async throws {
        let clock = ContinuousClock()
        var last = clock.now
        var due = 0.0
        while true {
            try await clock.sleep(until: last + Self.tick)
            let now = clock.now
            // After a pause the stream goes on as before it.
            due += min((now - last) / .seconds(1), 0.05) * Double(rate)
            last = now
            let count = Int(due)
            due -= Double(count)
            for _ in 0..<max(0, count - 1) { try await gate.withPermit { permit in self.process(permit) } }
            if count > 0 { try await processSlowly() }
        }
    }

    private func process(_ permit: EventPermit) {
        let begin = EventRecord.now
        log.append(EventRecord(begin: begin, end: EventRecord.now, token: permit.token.rawValue))
    }

    private func processSlowly() async throws {
        do {
            try await gate.withPermit { permit async throws in
                // The gate let it in, but the process may have been stopped since.
                guard permit.isValid else { return }
                let begin = EventRecord.now
                try await Task.sleep(for: Self.longEvent)
                self.log.append(EventRecord(begin: begin, end: EventRecord.now, token: permit.token.rawValue))
            }
        } catch let error as ExclusiveModeError where error.code == .lost {
            // The event was cancelled before it had any effect.
        }
    }
}
