import CommandLineSupport
import ServiceLifecycle
import ZooKeeper
import ZooKeeperRecipes

/// Generates events at a rate and processes them behind a gate; each event writes one record inside its permit.
///
/// The last event of each tick takes two milliseconds, so that there are events to drain. Events that would occur
/// during a pause are dropped.
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
            // The program has requested the end.
        } catch let error as RecipeError where error.code == .stopped {
            // The gate stopped first.
        }
    }

    private func processEvents() async throws {
        let clock = ContinuousClock()
        var (last, due) = (clock.now, 0.0)
        var reporter = PassingReporter()
        while true {
            try await clock.sleep(until: last + Self.tick)
            let now = clock.now
            // After a pause, the rate is the same as before; missed events are not made up for.
            due += min((now - last) / .seconds(1), 0.05) * Double(rate)
            last = now
            let count = Int(due)
            due -= Double(count)
            for _ in 0..<max(0, count - 1) {
                reporter.passed(try await gate.withSynchronousPermit { permit in self.process(permit) })
            }
            if count > 0, let event = try await processSlowly() { reporter.passed(event) }
        }
    }

    private func process(_ permit: EventPermit) -> EventRecord {
        let begin = EventRecord.now
        let event = EventRecord(begin: begin, end: EventRecord.now, token: permit.fencingToken.rawValue)
        log.append(event)
        return event
    }

    /// Processes an event that takes two milliseconds.
    ///
    /// - Returns: `nil` if the event was cancelled.
    private func processSlowly() async throws -> EventRecord? {
        do {
            return try await gate.withPermit { permit in
                // The process may have been stopped after the gate admitted the event.
                guard permit.isValid else { return nil }
                let begin = EventRecord.now
                try await Task.sleep(for: Self.longEvent)
                let event = EventRecord(begin: begin, end: EventRecord.now, token: permit.fencingToken.rawValue)
                self.log.append(event)
                return event
            }
        } catch let error as RecipeError where error.code == .lost {
            // The event was cancelled before it had any effect.
            return nil
        }
    }
}

/// Reports to the demo that events pass: the first event of each token, and then four times a second.
private struct PassingReporter {
    private static let interval: Int64 = 250_000_000
    private var last = EventRecord(begin: 0, end: 0, token: 0)

    mutating func passed(_ event: EventRecord) {
        guard event.token != last.token || event.begin - last.begin > Self.interval else { return }
        last = event
        Output.line(PassingReport(token: event.token, at: event.begin).line)
    }
}

/// A line that reports that events pass.
struct PassingReport: Sendable, Equatable {
    var token: Int64
    var at: Int64

    init(token: Int64, at: Int64) {
        (self.token, self.at) = (token, at)
    }

    init?(line: String) {
        let words = line.split(separator: " ")
        guard words.count == 3, words[0] == "passing", let token = Int64(words[1]), let at = Int64(words[2]) else {
            return nil
        }
        self.init(token: token, at: at)
    }

    var line: String { "passing \(token) \(at)" }
}
