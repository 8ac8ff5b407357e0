import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperSimulator

/// What a simulated process's code is given.
struct Participant: Sendable {
    /// Another one for each life: a killed one does not come back.
    let name: String
    private let member: String
    let process: Confined<SimulatedProcess>
    let clock: SimulatedClock
    private let world: Confined<ScenarioWorld>

    init(_ process: SimulatedProcess, member: String, in world: ScenarioWorld) {
        name = process.name
        self.member = member
        self.process = Confined(process)
        self.world = Confined(world)
        clock = SimulatedClock(process)
    }

    /// True time, for histories.
    var now: MonotonicInstant { process.value.simulation.now }

    /// Whether what it does counts: a killed process's code comes to its end without touching the world.
    var isAlive: Bool { !process.value.isDead }

    /// Runs code with a client of the process; an error that a fault may cause ends it quietly.
    func withClient(_ operation: (ZooKeeperClient) async throws -> Void) async {
        do {
            try await world.value.makeClient(for: process.value).running(operation)
        } catch {
            judge(error)
        }
    }

    /// Begins something under a grant: its session must not be closed by its own client before the end.
    ///
    /// - Returns: What ``endHolding(_:)`` is given at the end.
    func beginHolding() -> Int64 {
        let session = world.value.clients[process.value.number]?.session?.id.rawValue ?? 0
        world.value.held[session, default: 0] += 1
        return session
    }

    /// Notes that it is about to delete a znode of another session, which then has nothing left to protect.
    func willDisturb(_ session: SessionID?) {
        if let session { world.value.disturbedSessions.insert(session.rawValue) }
    }

    func endHolding(_ session: Int64) {
        world.value.held[session, default: 0] -= 1
    }

    /// Draws what this participant does next.
    func chance<Value>(_ draw: (inout Chance) -> Value) -> Value {
        draw(&process.value.simulation.chance)
    }

    func pause(_ range: ClosedRange<Duration>) async throws {
        let span = chance { $0.duration(range) }
        try await clock.sleep(until: clock.now + span)
    }

    /// Goes on to its end when the task is cancelled.
    func stubbornPause(_ range: ClosedRange<Duration>) async {
        let (clock, end) = (clock, clock.now + chance { $0.duration(range) })
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await Task { try? await clock.sleep(until: end) }.value }
        }
    }

    /// Starts a process beside this one: see ``ScenarioWorld/startChild(_:of:_:)``.
    func startChild(_ main: @escaping @Sendable (SimulatedClock) async -> Void) {
        world.value.startChild("\(name)/command", of: process.value, main)
    }

    func note(_ text: @autoclosure () -> String) {
        process.value.simulation.note(text())
    }

    /// It has done once more what it is there for.
    func progress() {
        if isAlive { world.value.progress[member, default: 0] += 1 }
    }

    /// Something happened that must never happen.
    func fail(_ text: String) {
        if isAlive { world.value.failures.append("\(name): \(text)") }
    }

    /// An error that a fault may cause passes; any other is a failure.
    func judge(_ error: any Error) {
        // Who has a window is told with the real process's number, which is another in each run.
        note("error \((error as? RecipeError).map { "\($0.code)" } ?? "\(error)")")
        guard !(error is CancellationError), !world.value.isExpected(error) else { return }
        fail("unexpected error: \(error)")
    }
}
