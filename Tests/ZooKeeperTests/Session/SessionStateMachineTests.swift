import Testing
import ZooKeeperTransport

@testable import ZooKeeper

/// A machine in a time of its own, and the run loop's part.
private struct Driven {
    var machine: SessionStateMachine
    var now = MonotonicInstant(nanoseconds: 0)
    let timeout: Duration

    init(timeout: Duration = .seconds(10), seed: UInt64 = 1) {
        self.timeout = timeout
        machine = SessionStateMachine(requestedTimeout: timeout, seed: seed)
    }

    var step: SessionStateMachine.Step { mutating get { machine.nextStep(now: now) } }

    /// When a connection that does not come is given up.
    var roundEnd: MonotonicInstant { now + timeout * 0.7 }

    /// Resolves and opens, as the machine asks for.
    mutating func open(_ addresses: [String] = ["10.0.0.1:2181"], session: TransportSession? = nil) {
        #expect(step == .resolve)
        machine.resolved(addresses, now: now)
        #expect(step == .open(addresses: addresses, session: session))
        let isWanted = machine.willOpen(now: now)
        #expect(isWanted)
    }

    mutating func connect(_ id: Int64 = 1) {
        open()
        _ = machine.connected(granted(id))
    }

    /// Closes, as the machine asks for.
    mutating func close(_ end: TransportClose) {
        #expect(step == .close(end))
        let effects = machine.closed(isKept: end == .keepSession)
        #expect(effects == [])
    }

    /// Waits as the machine asks for; how long.
    mutating func sitOut() -> Duration? {
        guard case .wait(let end?) = step else { return nil }
        defer { now = end }
        return end - now
    }
}

private func granted(_ id: Int64, timeout: Int32 = 10_000) -> TransportSession {
    TransportSession(id: id, password: Array(repeating: UInt8(id), count: 16), timeout: timeout)
}

private func session(_ id: Int64, epoch: Int, timeout: Duration = .seconds(10)) -> Session {
    Session(id: SessionID(rawValue: id), epoch: epoch, timeout: timeout)
}

@Suite
struct SessionStateMachineTests {
    @Test func `a client that stops while somebody still holds tells the server nothing`() {
        var driven = Driven()
        driven.connect()
        #expect(driven.machine.stop(keepsSession: true) == [.wake])
        driven.close(.keepSession)
        #expect(driven.step == .finish(nil))
    }

    @Test func `a connection that may have ended the session with it ends it here as well`() {
        var driven = Driven()
        driven.connect()
        let lost = driven.machine.replaceConnection()
        #expect(lost == [.suspend(session(1, epoch: 1)), .wake])
        #expect(driven.step == .close(.keepSession))
        let ended = driven.machine.closed(isKept: false)
        #expect(ended == [.endSession(session(1, epoch: 1))])
        let again = driven.machine.closed(isKept: false)
        #expect(again == [])
        // The next one asks for a new session.
        driven.open(session: nil)
        let begun = driven.machine.connected(granted(2))
        #expect(begun == [.beginSession(session(2, epoch: 2)), .wake])
    }

    // MARK: Connecting

    @Test func `a first connection begins a session`() {
        var driven = Driven()
        driven.open()
        #expect(driven.step == .wait(until: driven.roundEnd))
        #expect(driven.machine.current == nil)
        #expect(driven.machine.connected(granted(1)) == [.beginSession(session(1, epoch: 1)), .wake])
        #expect(driven.step == .wait(until: nil))
        #expect(driven.machine.current == session(1, epoch: 1))
        #expect(driven.machine.credential?.id == 1)
    }

    @Test(arguments: [Duration.seconds(3), .seconds(10), .seconds(60)])
    func `rounds without a connection pause longer and longer, by a third of the timeout at most`(timeout: Duration) {
        var driven = Driven(timeout: timeout)
        let cap = min(.seconds(10), timeout / 3)
        var full = Duration.milliseconds(100)
        for _ in 0..<12 {
            driven.open()
            driven.now = driven.roundEnd
            driven.close(.keepSession)
            let pause = driven.sitOut()
            #expect(pause.map { $0 >= full / 2 && $0 <= full } == true)
            full = min(full * 2, cap)
        }
        #expect(full == cap)
    }

    @Test func `the same seed gives the same pauses, another one others`() {
        let pauses = ([7, 7, 8] as [UInt64]).map { seed in
            var driven = Driven(seed: seed)
            return (0..<5).map { _ in
                driven.open()
                _ = driven.machine.openFailed("", now: driven.now)
                driven.close(.keepSession)
                return driven.sitOut()
            }
        }
        #expect(pauses[0] == pauses[1])
        #expect(pauses[0] != pauses[2])
    }

    @Test func `a connection ends the growing of pauses`() {
        var driven = Driven()
        for _ in 0..<5 {
            driven.open()
            driven.now = driven.roundEnd
            driven.close(.keepSession)
            _ = driven.sitOut()
        }
        driven.connect()
        _ = driven.machine.disconnected(now: driven.now)
        driven.now = driven.roundEnd
        driven.close(.keepSession)
        let pause = driven.sitOut()
        #expect(pause.map { $0 <= .milliseconds(100) } == true)
    }

    @Test func `names that do not resolve are resolved again after a pause`() {
        var driven = Driven()
        #expect(driven.step == .resolve)
        driven.machine.resolved([], now: driven.now)
        let pause = driven.sitOut()
        #expect(pause.map { $0 > .zero && $0 <= .milliseconds(100) } == true)
        driven.connect()
        #expect(driven.machine.current != nil)
    }

    @Test func `a connection that cannot be opened is closed, and tried again after a pause`() {
        var driven = Driven()
        driven.open()
        #expect(driven.machine.openFailed("no memory", now: driven.now) == [.wake])
        driven.close(.keepSession)
        #expect(driven.sitOut() != nil)
        #expect(driven.step == .resolve)
    }

    // MARK: Keeping the session

    @Test func `a connection that comes back by itself resumes the session, watches and all`() {
        var driven = Driven()
        driven.connect()
        #expect(driven.machine.disconnected(now: driven.now) == [.suspend(session(1, epoch: 1)), .wake])
        #expect(driven.step == .wait(until: driven.roundEnd))
        #expect(driven.machine.current == session(1, epoch: 1))
        let resumed = SessionStateMachine.Effect.resumeSession(session(1, epoch: 1), isReplaced: false)
        #expect(driven.machine.connected(granted(1)) == [resumed, .wake])
        #expect(driven.step == .wait(until: nil))
    }

    @Test func `a connection that stays away is replaced by one for the same session`() {
        var driven = Driven()
        driven.connect()
        _ = driven.machine.disconnected(now: driven.now)
        driven.now = driven.roundEnd
        driven.close(.keepSession)
        #expect(driven.sitOut() != nil)
        driven.open(["10.0.0.2:2181"], session: granted(1))
        let resumed = session(1, epoch: 1, timeout: .seconds(8))
        let again = granted(1, timeout: 8000)
        #expect(driven.machine.connected(again) == [.resumeSession(resumed, isReplaced: true), .wake])
        #expect(driven.machine.connected(again) == [.resumeSession(resumed, isReplaced: false), .wake])
    }

    @Test func `an expired session is followed by one of the next epoch`() {
        var driven = Driven()
        driven.connect()
        _ = driven.machine.disconnected(now: driven.now)
        #expect(driven.machine.expired() == [.endSession(session(1, epoch: 1)), .wake])
        #expect(driven.machine.current == nil && driven.machine.credential == nil)
        driven.close(.keepSession)
        driven.open()
        let begun = driven.machine.connected(granted(2))
        #expect(begun == [.beginSession(session(2, epoch: 2)), .wake])
    }

    @Test func `a session that expires while another connection takes it over ends as well`() {
        var driven = Driven()
        driven.connect()
        _ = driven.machine.disconnected(now: driven.now)
        driven.now = driven.roundEnd
        driven.close(.keepSession)
        _ = driven.sitOut()
        driven.open(session: granted(1))
        #expect(driven.machine.expired() == [.endSession(session(1, epoch: 1)), .wake])
        driven.close(.keepSession)
        driven.open()
    }

    @Test func `an expiry before there was a session costs a connection`() {
        var driven = Driven()
        driven.open()
        #expect(driven.machine.expired() == [.wake])
        driven.close(.keepSession)
        driven.open()
    }

    @Test func `a session of another id ends the one before first`() {
        var driven = Driven()
        driven.connect()
        _ = driven.machine.disconnected(now: driven.now)
        #expect(
            driven.machine.connected(granted(2)) == [
                .endSession(session(1, epoch: 1)), .beginSession(session(2, epoch: 2)), .wake,
            ])
        #expect(driven.machine.current == session(2, epoch: 2))
    }

    // MARK: A refused credential

    @Test func `a refused credential ends the session and the client`() {
        var driven = Driven()
        driven.connect()
        let error = ZooKeeperError(.authenticationFailed, message: "the server refused a credential")
        #expect(driven.machine.authenticationFailed() == [.endSession(session(1, epoch: 1)), .fail(error), .wake])
        #expect(driven.machine.current == nil)
        driven.close(.endSession)
        #expect(driven.step == .finish(error))
        _ = driven.machine.stop()
        #expect(driven.step == .finish(error))
    }

    @Test func `a credential refused before there was a session ends the client`() {
        var driven = Driven()
        driven.open()
        let error = ZooKeeperError(.authenticationFailed, message: "the server refused a credential")
        #expect(driven.machine.authenticationFailed() == [.fail(error), .wake])
        driven.close(.endSession)
        #expect(driven.step == .finish(error))
    }
}

/// What comes at any time: other servers, the stop, and what is late.
@Suite
struct SessionStateMachineInterruptionTests {
    /// Where the link can be.
    enum Place: CaseIterable { case none, pausing, opening, connected, lost, closing }

    private func driven(to place: Place) -> Driven {
        var driven = Driven()
        switch place {
        case .none: break
        case .pausing:
            _ = driven.step
            driven.machine.resolved([], now: driven.now)
        case .opening: driven.open()
        case .connected: driven.connect()
        case .lost:
            driven.connect()
            _ = driven.machine.disconnected(now: driven.now)
        case .closing:
            driven.connect()
            _ = driven.machine.replaceConnection()
        }
        return driven
    }

    @Test(arguments: Place.allCases)
    func `other servers are gone to at once, with the same session`(place: Place) {
        var driven = driven(to: place)
        let suspended: [SessionStateMachine.Effect] = place == .connected ? [.suspend(session(1, epoch: 1))] : []
        #expect(driven.machine.replaceConnection() == suspended + [.wake])
        let hasSession = [.connected, .lost, .closing].contains(place)
        if hasSession || place == .opening { driven.close(.keepSession) }
        driven.open(["10.0.0.9:2181"], session: hasSession ? granted(1) : nil)
    }

    @Test func `servers that are replaced while they are resolved are not gone to`() {
        var driven = Driven()
        #expect(driven.step == .resolve)
        _ = driven.machine.replaceConnection()
        driven.machine.resolved(["10.0.0.1:2181"], now: driven.now)
        driven.open(["10.0.0.9:2181"])
    }

    @Test func `servers that are replaced before they are connected to are not gone to`() {
        var driven = Driven()
        #expect(driven.step == .resolve)
        driven.machine.resolved(["10.0.0.1:2181"], now: driven.now)
        #expect(driven.step == .open(addresses: ["10.0.0.1:2181"], session: nil))
        _ = driven.machine.replaceConnection()
        let isWanted = driven.machine.willOpen(now: driven.now)
        #expect(!isWanted)
        driven.open(["10.0.0.9:2181"])
    }

    @Test(arguments: Place.allCases)
    func `a stop closes the session where there is a connection, and ends`(place: Place) {
        var driven = driven(to: place)
        #expect(driven.machine.stop() == [.wake])
        if place != .none, place != .pausing { driven.close(.endSession) }
        #expect(driven.step == .finish(nil))
        #expect(driven.machine.stop() == [.wake])
        #expect(driven.step == .finish(nil))
    }

    @Test(arguments: [Place.none, .pausing, .closing])
    func `what a connection says that is not wanted any more is not listened to`(place: Place) {
        var driven = driven(to: place)
        let (current, step) = (driven.machine.current, driven.step)
        #expect(driven.machine.connected(granted(7)) == [])
        #expect(driven.machine.disconnected(now: driven.now) == [])
        #expect(driven.machine.expired() == [])
        #expect(driven.machine.openFailed("late", now: driven.now) == [])
        #expect(driven.machine.current == current)
        #expect(driven.step == step)
    }

    @Test func `a connection that comes while it is being given up is not listened to`() {
        var driven = driven(to: .lost)
        driven.now = driven.roundEnd
        #expect(driven.step == .close(.keepSession))
        #expect(driven.machine.connected(granted(1)) == [])
        #expect(driven.machine.closed(isKept: true) == [])
        #expect(driven.sitOut() != nil)
    }

    @Test func `a session that comes while the client closes its connection does not begin`() {
        var driven = driven(to: .opening)
        _ = driven.machine.stop()
        #expect(driven.step == .close(.endSession))
        #expect(driven.machine.connected(granted(1)) == [])
        driven.close(.endSession)
        #expect(driven.step == .finish(nil))
    }

    @Test(arguments: [Place.opening, .lost])
    func `a loss is told once, and not of a connection that never stood`(place: Place) {
        var driven = driven(to: place)
        #expect(driven.machine.disconnected(now: driven.now) == [])
    }

    // MARK: Outages

    /// Performs what the machine asks for until it reports an outage or gives up, with connections that never come.
    private func untilReported(_ machine: inout SessionStateMachine, now: inout MonotonicInstant)
        -> SessionStateMachine.Step
    {
        for _ in 0..<1000 {
            let step = machine.nextStep(now: now)
            switch step {
            case .resolve: machine.resolved(["10.0.0.1:2181"], now: now)
            case .open: _ = machine.willOpen(now: now)
            case .close: _ = machine.closed(isKept: true)
            case .wait(let end): now = end ?? now
            case .reportOutage, .giveUp, .finish: return step
            }
        }
        return .finish(nil)
    }

    private func connect(_ machine: inout SessionStateMachine, now: inout MonotonicInstant) {
        while true {
            switch machine.nextStep(now: now) {
            case .resolve: machine.resolved(["10.0.0.1:2181"], now: now)
            case .open:
                _ = machine.willOpen(now: now)
                _ = machine.connected(granted(1))
                return
            case .close: _ = machine.closed(isKept: true)
            case .wait(let end): now = end ?? now
            case .reportOutage: break
            case .giveUp, .finish: return
            }
        }
    }

    @Test func `a client without a connection reports that after a while, then once a minute`() {
        var machine = SessionStateMachine(requestedTimeout: .seconds(10), reportDelay: .seconds(5), seed: 1)
        var now = MonotonicInstant(nanoseconds: 0)
        #expect(untilReported(&machine, now: &now) == .reportOutage(lasting: .seconds(5)))
        #expect(untilReported(&machine, now: &now) == .reportOutage(lasting: .seconds(65)))
        // A connection ends the outage; the next one counts from its own beginning.
        connect(&machine, now: &now)
        let lost = now
        _ = machine.disconnected(now: now)
        #expect(untilReported(&machine, now: &now) == .reportOutage(lasting: .seconds(5)))
        #expect(now == lost + .seconds(5))
    }

    @Test func `only the first connection has a limit`() {
        var machine = SessionStateMachine(
            requestedTimeout: .seconds(10), initialConnectionTimeout: .seconds(12), reportDelay: .seconds(5), seed: 1)
        var now = MonotonicInstant(nanoseconds: 0)
        #expect(untilReported(&machine, now: &now) == .reportOutage(lasting: .seconds(5)))
        #expect(untilReported(&machine, now: &now) == .giveUp(after: .seconds(12)))
        #expect(now == MonotonicInstant(nanoseconds: 0) + .seconds(12))
        let error = ZooKeeperError(.operationTimeout)
        #expect(machine.connectionTimedOut(error) == [.fail(error), .wake])
        #expect(untilReported(&machine, now: &now) == .finish(error))

        var connected = SessionStateMachine(
            requestedTimeout: .seconds(10), initialConnectionTimeout: .seconds(12), seed: 1)
        now = MonotonicInstant(nanoseconds: 0)
        #expect(connected.nextStep(now: now) == .resolve)
        connected.resolved(["10.0.0.1:2181"], now: now)
        _ = connected.willOpen(now: now)
        _ = connected.connected(granted(1))
        _ = connected.disconnected(now: now)
        #expect(untilReported(&connected, now: &now) == .finish(nil))
        #expect(now > MonotonicInstant(nanoseconds: 0) + .seconds(100))
    }
}
