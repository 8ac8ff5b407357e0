import Testing

@testable import ZooKeeperRecipes

@Suite struct GateStateMachineTests {
    typealias Machine = GateStateMachine

    /// A machine that has been led somewhere, and the last action.
    private func machine(_ events: Machine.Event...) -> (Machine, Machine.Action) {
        var machine = Machine()
        var action = machine.start()
        for event in events { action = machine.handle(event) }
        return (machine, action)
    }

    /// The way to each state.
    private static let ways: [(name: String, events: [Machine.Event], action: Machine.Action)] = [
        ("idle", [], .awaitSession),
        ("entering", [.session], .enter),
        ("open", [.session, .entered(windowCrashed: false)], .open),
        ("recovering", [.session, .entered(windowCrashed: true)], .recover),
        ("draining", [.session, .entered(windowCrashed: false), .signalled], .drain(mayReopen: true)),
        ("draining to leave", [.session, .entered(windowCrashed: false), .stopped], .drain(mayReopen: false)),
        (
            "draining without a session",
            [.session, .entered(windowCrashed: false), .lost(hasSession: false)], .drain(mayReopen: false)
        ),
        ("leaving", [.session, .enteredUnderSignal], .leave),
        ("paused", [.session, .enteredUnderSignal, .left(signalStands: true)], .awaitSignalGone),
        ("backing off", [.session, .enterFailed], .backOff),
        ("stopped", [.forbidden], .finish),
    ]

    @Test(arguments: ways.indices)
    func `each state is reached by its own way`(index: Int) {
        var machine = Machine()
        var action = machine.start()
        for event in Self.ways[index].events { action = machine.handle(event) }
        #expect(action == Self.ways[index].action)
    }

    @Test func `a gate opens, pauses for a window, and opens again`() {
        var machine = Machine()
        #expect(machine.start() == .awaitSession)
        #expect(machine.handle(.session) == .enter)
        #expect(machine.handle(.entered(windowCrashed: false)) == .open)
        #expect(machine.handle(.signalled) == .drain(mayReopen: true))
        #expect(machine.handle(.drained) == .leave)
        #expect(machine.handle(.left(signalStands: true)) == .awaitSignalGone)
        #expect(machine.handle(.signalGone) == .enter)
        #expect(machine.handle(.entered(windowCrashed: false)) == .open)
    }

    @Test func `a gate that drains opens again when the signal has gone, for every signal that it outlasts`() {
        var (machine, _) = machine(.session, .entered(windowCrashed: false))
        for _ in 0..<3 {
            #expect(machine.handle(.signalled) == .drain(mayReopen: true))
            #expect(machine.handle(.signalGone) == .open)
        }
        #expect(machine.handle(.signalled) == .drain(mayReopen: true))
        #expect(machine.handle(.drained) == .leave)
    }

    @Test func `a gate that reopened is lost and stopped as any other`() {
        for (event, drain) in [
            (Machine.Event.lost(hasSession: true), Machine.Action.leave), (.lost(hasSession: false), .awaitSession),
            (.stopped, .leave),
        ] {
            var (machine, _) = machine(.session, .entered(windowCrashed: false), .signalled, .signalGone)
            #expect(machine.handle(event) == .drain(mayReopen: false))
            #expect(machine.handle(.drained) == drain)
        }
    }

    @Test func `a gate that stops, or that recovered from a crash, does not reopen`() {
        var (stopping, _) = machine(.session, .entered(windowCrashed: false), .signalled)
        stopping.stop()
        #expect(stopping.handle(.signalGone) == .drain(mayReopen: false))
        #expect(stopping.handle(.drained) == .leave)
        var (recovering, action) = machine(.session, .entered(windowCrashed: true), .signalled)
        #expect(action == .drain(mayReopen: false))
        #expect(recovering.handle(.signalGone) == .drain(mayReopen: false))
    }

    @Test func `S1: a reader that finds a signal leaves again without opening`() {
        var (machine, action) = machine(.session, .enteredUnderSignal)
        #expect(action == .leave)
        #expect(machine.handle(.left(signalStands: true)) == .awaitSignalGone)
    }

    @Test func `a signal that is gone by the time of leaving is not waited for`() {
        var (machine, _) = machine(.session, .enteredUnderSignal)
        #expect(machine.handle(.left(signalStands: false)) == .enter)
    }

    @Test func `after a window that crashed the gate waits before it opens`() {
        var (machine, action) = machine(.session, .entered(windowCrashed: true))
        #expect(action == .recover)
        #expect(machine.handle(.recovered) == .open)
    }

    @Test func `a window may come while the gate recovers`() {
        var (machine, _) = machine(.session, .entered(windowCrashed: true))
        #expect(machine.handle(.signalled) == .drain(mayReopen: false))
        #expect(machine.handle(.drained) == .leave)
    }

    @Test(arguments: [true, false])
    func `lost with its session alive the node is deleted first, else it is gone with it`(crashed: Bool) {
        for hasSession in [true, false] {
            var (machine, _) = machine(.session, .entered(windowCrashed: crashed))
            #expect(machine.handle(.lost(hasSession: hasSession)) == .drain(mayReopen: false))
            #expect(machine.handle(.drained) == (hasSession ? .leave : .awaitSession))
        }
    }

    @Test func `a failure to enter is tried again after a pause, with whatever session there is`() {
        var (machine, action) = machine(.session, .enterFailed)
        #expect(action == .backOff)
        #expect(machine.handle(.backedOff) == .awaitSession)
    }

    @Test(arguments: ways.indices)
    func `a session's end begins anew in every state but the last`(index: Int) {
        var machine = Machine()
        _ = machine.start()
        for event in Self.ways[index].events { _ = machine.handle(event) }
        let expected: Machine.Action = Self.ways[index].action == .finish ? .finish : .awaitSession
        #expect(machine.handle(.sessionEnded) == expected)
    }

    @Test(arguments: ways.indices)
    func `nothing that comes late wakes a gate that has stopped`(index: Int) {
        var machine = Machine()
        _ = machine.start()
        _ = machine.handle(.forbidden)
        for event in Self.ways[index].events + [.drained, .left(signalStands: true), .signalGone, .sessionEnded] {
            #expect(machine.handle(event) == .finish)
        }
    }

    @Test func `stopped in each state, the gate leaves no node`() {
        expectEnd(after: [], event: .stopped, actions: [])
        expectEnd(after: [.session], event: .entered(windowCrashed: false), actions: [.leave])
        expectEnd(after: [.session], event: .entered(windowCrashed: true), actions: [.leave])
        expectEnd(after: [.session], event: .enteredUnderSignal, actions: [.leave])
        expectEnd(after: [.session], event: .enterFailed, actions: [])
        expectEnd(after: [.session], event: .sessionEnded, actions: [])
        let open: [Machine.Event] = [.session, .entered(windowCrashed: false)]
        expectEnd(after: open, event: .stopped, actions: [Self.drain, .leave])
        expectEnd(after: open, event: .signalled, actions: [Self.drain, .leave])
        expectEnd(after: open, event: .lost(hasSession: true), actions: [Self.drain, .leave])
        expectEnd(after: open, event: .lost(hasSession: false), actions: [Self.drain])
        expectEnd(after: open + [.signalled], event: .drained, actions: [.leave])
        expectEnd(after: open + [.signalled], event: .signalGone, actions: [Self.drain, .leave])
        let recovering: [Machine.Event] = [.session, .entered(windowCrashed: true)]
        expectEnd(after: recovering, event: .recovered, actions: [.leave])
        expectEnd(after: recovering, event: .stopped, actions: [Self.drain, .leave])
        let leaving: [Machine.Event] = [.session, .enteredUnderSignal]
        expectEnd(after: leaving, event: .left(signalStands: true), actions: [])
        expectEnd(after: leaving, event: .left(signalStands: false), actions: [])
        expectEnd(after: leaving + [.left(signalStands: true)], event: .stopped, actions: [])
        expectEnd(after: leaving + [.left(signalStands: true)], event: .signalGone, actions: [])
        expectEnd(after: [.session, .enterFailed], event: .stopped, actions: [])
        expectEnd(after: [.session, .enterFailed], event: .backedOff, actions: [])
    }

    private static let drain = Machine.Action.drain(mayReopen: false)

    /// After a stop the event gives these actions, each answered as it would be, and then the end.
    private func expectEnd(
        after way: [Machine.Event], event: Machine.Event, actions: [Machine.Action],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        var machine = Machine()
        _ = machine.start()
        for event in way { _ = machine.handle(event) }
        machine.stop()
        var action = machine.handle(event)
        var seen: [Machine.Action] = []
        while action != .finish, seen.count < 10 {
            seen.append(action)
            action = machine.handle(action == Self.drain ? .drained : .left(signalStands: false))
        }
        #expect(seen == actions, sourceLocation: sourceLocation)
    }

    @Test(arguments: 0..<200)
    func `whatever the ensemble answers, a gate opens only under no signal and ends without a node`(seed: UInt64) {
        var world = World(seed: seed)
        var machine = Machine()
        var action = machine.start()
        for step in 0..<300 {
            if step == 200 { machine.stop() }
            #expect(action != .open || (world.mayOpen && world.hasNode))
            if action == .finish { break }
            action = machine.handle(world.answer(action))
        }
        #expect(action == .finish)
        #expect(!world.hasNode)
    }

    /// Answers actions as an ensemble and a process might, and keeps what stands.
    private struct World {
        var generator: SeededRandom
        var hasNode = false
        var mayOpen = false

        init(seed: UInt64) { generator = SeededRandom(seed: seed) }

        mutating func answer(_ action: Machine.Action) -> Machine.Event {
            switch action {
            case .awaitSession: return .session
            case .enter: return enter()
            case .recover, .open:
                if action == .recover, roll(3) == 0 { return recovered() }
                let hasSession = roll(2) == 0
                let event: Machine.Event = [.signalled, .stopped, .lost(hasSession: hasSession)][roll(3)]
                if event == .lost(hasSession: false) { hasNode = false }
                mayOpen = false
                return event
            case .drain(let mayReopen):
                guard mayReopen, hasNode, roll(2) == 0 else { return .drained }
                mayOpen = true
                return .signalGone
            case .leave:
                hasNode = false
                return [.left(signalStands: true), .left(signalStands: false), .sessionEnded][roll(3)]
            case .awaitSignalGone: return [.signalGone, .sessionEnded][roll(2)]
            case .backOff: return .backedOff
            case .finish: return .stopped
            }
        }

        private mutating func enter() -> Machine.Event {
            switch roll(5) {
            case 0: return .sessionEnded
            case 1: return .enterFailed
            case 2:
                hasNode = true
                return .enteredUnderSignal
            case 3:
                hasNode = true
                return .entered(windowCrashed: true)
            default:
                (hasNode, mayOpen) = (true, true)
                return .entered(windowCrashed: false)
            }
        }

        private mutating func recovered() -> Machine.Event {
            mayOpen = true
            return .recovered
        }

        private mutating func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &generator) }
    }
}

/// The same numbers in each run (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
