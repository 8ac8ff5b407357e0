import CommandLineSupport
import Synchronization
import ZooKeeper
import ZooKeeperTestKit

/// Runs a demo: starts the processes, opens windows, causes faults, and collects the logs.
final class DemoRun: Sendable {
    private struct Cast {
        /// The processors that are expected to run.
        var running: [DemoProcessor] = []
        /// All processors, including those that were killed.
        var all: [DemoProcessor] = []
        var operators: [DemoOperator] = []
        var followers: [Task<Void, Never>] = []
        var steady: SteadyTraffic?
    }

    private let plan: DemoPlan
    /// The server; `nil` if it does not belong to the demo.
    private let server: TestServer?
    private let board: DemoBoard
    private let cast = Mutex(Cast())

    init(plan: DemoPlan, server: TestServer?, board: DemoBoard) {
        self.plan = plan
        self.server = server
        self.board = board
    }

    // MARK: Steps

    /// Runs all steps of the demo.
    func run(processors: Int, windows: Int, faults: [DemoFault]) async throws {
        for index in 1...processors { try start("processor-\(index)", generation: 1) }
        try await allPassing(after: 0)
        board.tell("every gate is open, and the processors run")
        try await watchSteadyTraffic()
        for _ in 0..<windows { try await plainWindow() }
        for fault in faults {
            try await pauseBetweenWindows()
            switch fault {
            case .killProcessor: try await killProcessor()
            case .killOperator: try await killOperator()
            case .freezeProcessor: try await freezeProcessor()
            case .restartServer: try await restartServer()
            }
        }
        try await pauseBetweenWindows()
        try await stop()
    }

    private func plainWindow() async throws {
        try await pauseBetweenWindows()
        let window = try await openWindow()
        try await closeWindow(window)
    }

    private func killProcessor() async throws {
        guard let victim = running.last else { return }
        board.tell("FAULT  kill -9 of \(victim.name); the window waits for the end of its session")
        await victim.kill()
        board.set(victim.name, state: "killed")
        cast.withLock { $0.running.removeAll { $0 === victim } }
        let window = try await openWindow(.killProcessor)
        try start(victim.name, generation: 2)
        board.tell("\(victim.name) was started again")
        try await closeWindow(window)
    }

    private func killOperator() async throws {
        board.tell("FAULT  kill -9 of the operator while its task runs")
        let window = try await openWindow(.killOperator)
        try await Task.sleep(for: .seconds(plan.taskSeconds / 2))
        await window.op.kill()
        board.tell("its session must end; then the processors wait \(Text.seconds(.seconds(plan.resumeDelay)))")
        board.show(window: "the operator was killed")
        try await allPassing(after: window.token)
        board.tell("all processors run again")
        board.show(window: "")
    }

    private func freezeProcessor() async throws {
        guard let victim = running.first else { return }
        board.tell("FAULT  SIGSTOP of \(victim.name); the window waits for the end of its session")
        board.set(victim.name, state: "frozen")
        var window: Opened?
        try await victim.freeze {
            window = try await openWindow(.freezeProcessor)
            try await Task.sleep(for: .seconds(plan.taskSeconds / 2))
        }
        board.tell("SIGCONT to \(victim.name); it must not process a single event")
        if let window { try await closeWindow(window) }
    }

    private func restartServer() async throws {
        guard let server else { return }
        board.tell("FAULT  kill -9 and restart of the server while the task runs")
        let window = try await openWindow(.restartServer)
        let began = SystemMonotonicClock().now
        await server.kill()
        try await server.start()
        board.tell(
            "the server is back after \(Text.time(SystemMonotonicClock().now - began)); the window is still open")
        try await closeWindow(window)
    }

    // MARK: Windows

    private struct Opened {
        var op: DemoOperator
        var token: Int64
    }

    private func openWindow(_ fault: DemoFault? = nil) async throws -> Opened {
        let number = cast.withLock { $0.operators.count + 1 }
        let op = try DemoOperator(number: number, fault: fault, plan: plan)
        cast.withLock { $0.operators.append(op) }
        try await op.asked()
        board.tell("window \(number): requested")
        board.show(window: "window \(number): waiting for the processors to pause")
        let (token, drained) = try await op.opened()
        board.tell("window \(number): all processors paused after \(Text.time(drained)), the task runs alone")
        board.show(window: "window \(number): the task runs alone")
        return Opened(op: op, token: token)
    }

    private func closeWindow(_ window: Opened) async throws {
        try await window.op.ended()
        let evidence = window.op.evidence()
        if let failure = evidence.failure {
            board.tell("window \(window.op.number): ended with an error: \(failure)")
        } else {
            board.tell("window \(window.op.number): the task is done")
        }
        board.show(window: "window \(window.op.number): done, the processors resume")
        try await allPassing(after: window.token)
        board.tell("window \(window.op.number): all processors run again")
        board.show(window: "")
    }

    /// Waits until events have been processed for a while, so that there is a stream to pause.
    private func pauseBetweenWindows() async throws {
        try await Task.sleep(for: .milliseconds(1500))
    }

    // MARK: Processors

    private var running: [DemoProcessor] { cast.withLock { $0.running } }

    private func start(_ name: String, generation: Int) throws {
        let processor = try DemoProcessor(name: name, generation: generation, plan: plan)
        board.add(name, pid: processor.process.id)
        let board = board
        let follower = Task {
            var lines = processor.process.lines.makeAsyncIterator()
            while let line = try? await lines.next() {
                guard let report = GateReport(line: line) else { continue }
                board.set(name, state: report.word == "open" ? "running" : report.word)
            }
        }
        cast.withLock { cast in
            cast.running.append(processor)
            cast.all.append(processor)
            cast.followers.append(follower)
        }
    }

    private func allPassing(after window: Int64) async throws {
        for processor in running { try await processor.passing(after: window) }
    }

    /// Counts the requests that the server receives while no window is open.
    private func watchSteadyTraffic() async throws {
        guard let counter = ServerCounter(connectionString: plan.connectionString) else { return }
        let time = Duration.seconds(max(3, plan.sessionTimeout))
        board.show(window: "no window: counting the requests of the processors")
        guard let traffic = try await counter.measure(for: time, processors: running.count) else { return }
        cast.withLock { $0.steady = traffic }
        board.tell(
            "in \(Text.seconds(time)) each processor sent \(Text.fixed(traffic.perProcessorAndSecond, 2)) requests a second"
        )
        board.show(window: "")
    }

    private func stop() async throws {
        board.show(window: "stopping")
        for processor in running where processor.isAlive { try? processor.process.terminate() }
        for processor in running {
            _ = try await within(plan.patience, "stopped: \(processor.name)") {
                try await processor.process.waitForExit()
            }
        }
        board.show(window: "")
        board.tell("all processors have stopped")
    }

    // MARK: Results

    /// The number of events that each processor has logged, by its name.
    var counts: [String: Int] {
        cast.withLock { $0.all }.reduce(into: [:]) { $0[$1.name, default: 0] += EventLog.count(at: $1.eventsFile) }
    }

    var evidence: DemoEvidence {
        let (all, operators) = cast.withLock { ($0.all, $0.operators) }
        return DemoEvidence(processors: all.map { $0.evidence() }, windows: operators.map { $0.evidence() })
    }

    var steadyTraffic: SteadyTraffic? { cast.withLock { $0.steady } }

    /// Kills the processes that still run.
    func end() async {
        let (all, operators, followers) = cast.withLock { ($0.all, $0.operators, $0.followers) }
        for op in operators { await op.process.kill() }
        for processor in all { await processor.process.kill() }
        for follower in followers { await follower.value }
    }
}
