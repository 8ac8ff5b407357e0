package import ZooKeeper

/// A world on one thread, in virtual time, in which every choice comes from one seed.
///
/// Three things happen in it: jobs of the simulated processes' tasks run, in any order; messages and timers come due; and
/// faults strike, which are timers of the scenario. Between two of them nothing else moves. The same seed gives the same
/// world, step by step, on every machine.
package final class Simulation {
    package let seed: UInt64
    package var chance: Chance
    /// The true time; processes see it through clocks of their own.
    package private(set) var now = MonotonicInstant(nanoseconds: 0)
    package private(set) var processes: [SimulatedProcess] = []
    /// Steps done: jobs and events.
    package private(set) var steps = 0
    package private(set) var trace: Trace
    /// What the world found wrong by itself, such as a step that never ended.
    package private(set) var breakdown: String?

    /// The process whose code is running.
    private(set) var current: SimulatedProcess?
    private var agenda = Agenda()
    /// Who has jobs to run; frozen ones are among them.
    private var busy: [SimulatedProcess] = []
    private var order: UInt64 = 0
    /// How often clocks were read in the present step.
    private var readings = 0
    /// Steps since an instant, at most a second ago.
    private var recentSteps = (count: 0, since: MonotonicInstant(nanoseconds: 0))
    private var nesting = 0

    package init(seed: UInt64, keepsTrace: Bool = false) {
        self.seed = seed
        chance = Chance(seed: seed)
        trace = Trace(isKept: keepsTrace)
    }

    // MARK: What happens

    /// Does something later.
    ///
    /// - Parameter process: Whose doing it is: it waits while that process is frozen, and is left undone when it is dead.
    package func after(_ delay: Duration, by process: SimulatedProcess? = nil, _ action: @escaping () -> Void) {
        at(now + delay, by: process, action)
    }

    package func at(_ time: MonotonicInstant, by process: SimulatedProcess? = nil, _ action: @escaping () -> Void) {
        _ = enter(time, by: process, action)
    }

    /// Does something later, unless it is cancelled before.
    func enter(
        _ time: MonotonicInstant, by process: SimulatedProcess?, _ action: @escaping () -> Void
    ) -> Agenda.Ticket {
        order += 1
        // The low bits make it unique, the high ones choose.
        let tie = (chance.seed() << 32) | (order & 0xffff_ffff)
        return agenda.add(Agenda.Item(tie: tie, process: process, action: action), at: max(time, now))
    }

    func cancel(_ ticket: Agenda.Ticket) {
        agenda.cancel(ticket)
    }

    /// Writes a line of the trace.
    package func note(_ text: @autoclosure () -> String) {
        trace.add(now, current?.name, text())
    }

    package func add(_ process: SimulatedProcess) {
        processes.append(process)
    }

    // MARK: The run

    /// Runs until an instant, or until nothing can happen any more.
    package func run(until end: MonotonicInstant) {
        TaskCapture.capture(for: self) {
            while breakdown == nil, step(until: end) {}
        }
        if breakdown == nil { now = max(now, end) }
    }

    /// Runs until a condition holds; gives up at an instant.
    package func run(until end: MonotonicInstant, while condition: () -> Bool) {
        TaskCapture.capture(for: self) {
            while breakdown == nil, condition(), step(until: end) {}
        }
    }

    /// Nothing happens any more, and what was to happen is forgotten: it holds the world that holds it.
    package func end() {
        agenda = Agenda()
        for process in processes { process.forget() }
        (processes, busy) = ([], [])
    }

    /// Runs others while a process stands still in the middle of a step.
    ///
    /// - Parameter isStopped: Whether it still has to stand still when the time is over.
    func runOthers(for span: Duration, orWhile isStopped: () -> Bool) {
        guard nesting < 3 else { return }
        nesting += 1
        let (before, end) = (current, now + span)
        current = nil
        while breakdown == nil, step(until: end) {}
        now = max(now, end)
        while breakdown == nil, isStopped(), step(until: now + .seconds(3600)) {}
        current = before
        nesting -= 1
    }

    private func step(until end: MonotonicInstant) -> Bool {
        let isDue = agenda.nextTime.map { $0 <= now } ?? false
        if let process = pickRunnable(), !isDue || chance.oneIn(2) {
            runJob(of: process)
            return true
        }
        guard let next = agenda.popNext(until: end) else { return false }
        now = max(now, next.time)
        countStep()
        if let process = next.item.process {
            process.perform(next.item.action)
        } else {
            next.item.action()
        }
        return true
    }

    /// One of those that have jobs and are not frozen.
    private func pickRunnable() -> SimulatedProcess? {
        if busy.count == 1 { return busy[0].isFrozen ? nil : busy[0] }
        let awake = busy.filter { !$0.isFrozen }
        return awake.isEmpty ? nil : chance.pick(awake)
    }

    private func runJob(of process: SimulatedProcess) {
        countStep()
        now = now + .microseconds(1)
        trace.mix(UInt64(process.number))
        let job = process.ready.remove(at: chance.below(process.ready.count))
        if process.ready.isEmpty { busy.removeAll { $0 === process } }
        within(process) { TaskCapture.run(job) }
    }

    /// Runs code of a process; what it makes runnable is the process's.
    func within(_ process: SimulatedProcess, _ code: () -> Void) {
        let before = current
        current = process
        code()
        current = before
    }

    /// A step that reads the clock on and on never ends: its tasks are cancelled, which is all that can be done to it.
    ///
    /// - Returns: Whether the step is to be stopped.
    func countReading() -> Bool {
        readings += 1
        guard readings > 100_000 else { return false }
        precondition(readings < 1_000_000, "seed \(seed): a task neither suspends nor heeds its cancellation")
        breakdown = "somebody spins: 100,000 readings of the clock in one step"
        return true
    }

    private func countStep() {
        steps += 1
        readings = 0
        if now - recentSteps.since > .seconds(1) { recentSteps = (0, now) }
        recentSteps.count += 1
        if recentSteps.count > 200_000 { breakdown = "somebody spins: 200,000 steps within a second" }
    }
}

extension Simulation: TaskCapture.Target {
    func take(_ job: UnownedJob) {
        guard let current else { preconditionFailure("a task was resumed by no process") }
        if current.ready.isEmpty { busy.append(current) }
        current.ready.append(job)
    }
}
