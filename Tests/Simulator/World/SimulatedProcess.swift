internal import ZooKeeper

/// A process of a simulated world: its tasks, its clock, and what it has of the network.
///
/// It can stand still as if it had received SIGSTOP, between two jobs or where it reads its clock, and it can be killed.
/// One that is started again after that is a new process.
package final class SimulatedProcess {
    package let name: String
    package let number: Int
    package unowned let simulation: Simulation
    /// How fast its clock runs; 1 is as fast as true time.
    package let clockRate: Double
    /// In how many clock readings once the process freezes; 0 for never.
    package var freezesAtClockOnceIn = 0
    package var freezeSpan: ClosedRange<Duration> = .milliseconds(1) ... .seconds(8)
    /// Stopped by a fault, between two steps.
    private var isStopped = false
    /// Stopped in the middle of a step, where it read its clock: its stack and its locks are as they were.
    private var isInStep = false
    /// Has no way to any server: new connections are refused or lead nowhere.
    package var isCutOff = false
    package var cutOffIsSilent = true
    /// How fast the network is from now on, whatever its client was made with; on its way is what has been sent.
    package var latency: Latency? {
        didSet {
            guard let latency else { return }
            for connection in connections { connection.setLatency(latency) }
        }
    }
    /// Its connections that are not known to be lost.
    package var connections: [SimulatedSocket] = []
    /// Killed: whatever it still does harms and tells nobody.
    package private(set) var isDead = false

    /// Called with the session's number before a client of the process closes its session.
    package var willEndSession: (Int64) -> Void = { _ in }

    var ready: [UnownedJob] = []
    private var held: [() -> Void] = []
    private var whenKilled: [() -> Void] = []
    private var tasks: [Task<Void, Never>] = []
    private var running = 0

    package init(_ name: String, in simulation: Simulation, clockRate: Double = 1) {
        self.name = name
        self.simulation = simulation
        self.clockRate = clockRate
        number = simulation.processes.count
        simulation.add(self)
    }

    package var isFrozen: Bool { isStopped || isInStep }

    /// Whether tasks of it have not ended.
    package var isRunning: Bool { running > 0 }

    /// Begins a task of the process.
    package func start(_ operation: @escaping @Sendable () async -> Void) {
        running += 1
        let confined = Confined(self)
        simulation.after(.zero, by: self) {
            self.tasks.append(
                Task {
                    await operation()
                    confined.value.running -= 1
                })
        }
    }

    /// Cancels its tasks, as a program does that is told to end.
    package func cancel() {
        simulation.after(.zero, by: self) { for task in self.tasks { task.cancel() } }
    }

    /// Does something as a part of the process, as soon as it is not frozen.
    func perform(_ action: @escaping () -> Void) {
        if isFrozen {
            held.append(action)
        } else {
            simulation.within(self, action)
        }
    }

    // MARK: Faults

    /// Stops it where it stands, as SIGSTOP does.
    package func freeze() {
        guard !isStopped else { return }
        simulation.note("freeze \(name)")
        isStopped = true
    }

    /// Lets it go on, as SIGCONT does.
    package func thaw() {
        guard isStopped, !isDead else { return }
        simulation.note("thaw \(name)")
        isStopped = false
        goOn()
    }

    /// Ends it at once, as SIGKILL does: it stands still for good, and its connections break.
    package func kill() {
        guard !isDead else { return }
        simulation.note("kill \(name)")
        isDead = true
        isStopped = true
        for action in whenKilled { action() }
        whenKilled = []
    }

    /// Calls a closure when the process is killed.
    package func onKill(_ action: @escaping () -> Void) {
        whenKilled.append(action)
    }

    /// Lets the tasks of the dead come to their end, so that nothing is left of them.
    package func bury() {
        isStopped = false
        goOn()
        cancel()
    }

    /// Lets go of everything that holds it.
    func forget() {
        (connections, tasks, held, whenKilled) = ([], [], [], [])
        willEndSession = { _ in }
    }

    /// Everything has been waiting for it, and all of it is there at once.
    private func goOn() {
        guard !isFrozen else { return }
        let actions = held
        held = []
        for action in actions { simulation.after(.zero, by: self, action) }
    }

    /// What the process reads on its clock; it may have to wait for that.
    func readClock() -> MonotonicInstant {
        if simulation.countReading() { for task in tasks { task.cancel() } }
        if freezesAtClockOnceIn > 0, simulation.current === self, !isFrozen, !isDead,
            simulation.chance.oneIn(freezesAtClockOnceIn)
        {
            let span = simulation.chance.duration(freezeSpan)
            simulation.note("freeze at the clock for \(span)")
            isInStep = true
            simulation.runOthers(for: span) { self.isStopped && !self.isDead }
            isInStep = false
            simulation.note("goes on")
            goOn()
        }
        return clockTime(of: simulation.now)
    }

    /// How long it takes until the process's clock has run on by a span.
    func trueSpan(of span: Duration) -> Duration {
        clockRate == 1 ? span : .nanoseconds(Int64(Double(span.nanoseconds) / clockRate))
    }

    func clockTime(of instant: MonotonicInstant) -> MonotonicInstant {
        if clockRate == 1 { return instant }
        return MonotonicInstant(nanoseconds: Int64(Double(instant.nanoseconds) * clockRate))
    }

    func trueTime(of reading: MonotonicInstant) -> MonotonicInstant {
        // A clock that differs by a few per cent cannot reach what is centuries away.
        let limit = Double(Int64.max / 4)
        let nanoseconds = (Double(reading.nanoseconds) / clockRate).rounded(.up)
        return MonotonicInstant(nanoseconds: Int64(min(max(nanoseconds, -limit), limit)))
    }
}
