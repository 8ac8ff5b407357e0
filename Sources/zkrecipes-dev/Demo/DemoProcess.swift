import CommandLineSupport
import Synchronization
import ZooKeeper
import ZooKeeperTestKit

/// The settings of all processes of a demo.
struct DemoPlan: Sendable {
    var connectionString: String
    var sessionTimeout: Double
    var rate: Int
    var taskSeconds: Double
    var resumeDelay: Double
    /// The folder of the logs.
    var folder: String
    var base: String

    /// The time after which the demo fails if an expected event has not occurred.
    var patience: Duration { .seconds(60 + 4 * sessionTimeout + resumeDelay + taskSeconds) }

    fileprivate func arguments(_ command: String, _ name: String) -> [String] {
        [
            command, "--connect", connectionString, "--session-timeout", "\(sessionTimeout)", "--connect-timeout", "60",
            "--base", base, "--errors", "\(folder)/\(name).errors",
        ]
    }
}

/// The process of a processor, and the faults that the demo caused in it.
final class DemoProcessor: Sendable {
    let name: String
    let process: TestProcess
    let eventsFile: String
    private let plan: DemoPlan
    private let marks = Mutex<(freezes: [ClosedRange<Int64>], killed: Int64?)>(([], nil))

    /// Starts the process.
    ///
    /// - Parameters:
    ///   - name: The name of the processor.
    ///   - generation: A number that distinguishes the process from earlier ones with the same name.
    ///   - plan: The settings.
    init(name: String, generation: Int, plan: DemoPlan) throws {
        self.name = name
        self.plan = plan
        let file = "\(name)-\(generation)"
        eventsFile = "\(plan.folder)/\(file).events"
        process = try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes-dev"),
            arguments: plan.arguments("demo-processor", file) + [
                "--name", name, "--rate", "\(plan.rate)", "--events", eventsFile, "--resume-delay",
                "\(Int((plan.resumeDelay * 1000).rounded()))ms",
            ])
    }

    var isAlive: Bool { process.exitStatus == nil }

    /// Waits for the first event with a token newer than a window's that began after an instant.
    @discardableResult
    func passing(after window: Int64, since instant: Int64 = 0) async throws -> PassingReport {
        let process = process
        let line = try await within(plan.patience, "processing events in \(name)") {
            try await process.line { line in
                PassingReport(line: line).map { $0.token > window && $0.at > instant } ?? false
            }
        }
        return PassingReport(line: line) ?? PassingReport(token: 0, at: 0)
    }

    func kill() async {
        await process.kill()
        marks.withLock { $0.killed = EventRecord.now }
    }

    /// Stops the process while an operation runs.
    func freeze(while body: () async throws -> Void) async throws {
        let begin = EventRecord.now
        try process.pause()
        do { try await body() } catch {
            try? process.resume()
            throw error
        }
        let end = EventRecord.now
        try process.resume()
        marks.withLock { $0.freezes.append(begin...end) }
    }

    func evidence() -> DemoEvidence.Processor {
        let (freezes, killed) = marks.withLock { $0 }
        let events = (try? EventLog.records(at: eventsFile)) ?? []
        return DemoEvidence.Processor(name: name, events: events, freezes: freezes, killed: killed)
    }
}

/// The process of a window.
final class DemoOperator: Sendable {
    let number: Int
    let fault: DemoFault?
    let process: TestProcess
    private let plan: DemoPlan
    private let file: String
    private let killed = Mutex<Int64?>(nil)

    init(number: Int, fault: DemoFault?, plan: DemoPlan) throws {
        self.number = number
        self.fault = fault
        self.plan = plan
        file = "\(plan.folder)/window-\(number).log"
        process = try TestProcess(
            TestProcess.path(ofProduct: "zkrecipes-dev"),
            arguments: plan.arguments("demo-operator", "window-\(number)") + [
                "--reason", fault?.rawValue ?? "daily task", "--task-duration",
                "\(Int((plan.taskSeconds * 1000).rounded()))ms", "--log", file,
            ])
    }

    /// Waits until the task begins, and returns the token and the time that the processors took to pause.
    func opened() async throws -> (token: Int64, drained: Duration) {
        let entry = try await entry("seen to open: window \(number)") { entry in
            if case .closed = entry { false } else if case .asked = entry { false } else { true }
        }
        switch entry {
        case .open(_, let token, let drained): return (token, .nanoseconds(drained))
        case .failed(let why): throw Overdue(description: "window \(number) failed: \(why)")
        default: throw Overdue(description: "window \(number) ended before it opened")
        }
    }

    func asked() async throws {
        _ = try await entry("requested: window \(number)") { if case .asked = $0 { true } else { false } }
    }

    func ended() async throws {
        let process = process
        _ = try await within(plan.patience, "ended: window \(number)") { try await process.waitForExit() }
    }

    func kill() async {
        await process.kill()
        killed.withLock { $0 = EventRecord.now }
    }

    private func entry(
        _ what: String, where matches: @escaping @Sendable (WindowEntry) -> Bool
    ) async throws -> WindowEntry? {
        let process = process
        let line = try await within(plan.patience, what) {
            try await process.line { WindowEntry(line: $0).map(matches) ?? false }
        }
        return WindowEntry(line: line)
    }

    func evidence() -> DemoEvidence.Window {
        var window = DemoEvidence.Window(
            number: number, fault: fault, closed: killed.withLock { $0 } ?? EventRecord.now)
        for entry in (try? WindowEntry.entries(at: file)) ?? [] {
            switch entry {
            case .asked(let at): window.asked = at
            case .open(let at, let token, let drained):
                (window.opened, window.token, window.drained) = (at, token, drained)
            case .closed(let at): window.closed = at
            case .failed(let why): window.failure = why
            }
        }
        return window
    }
}
