import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct ElectionStateMachineTests {
    private typealias Machine = ElectionStateMachine

    private static let problem = ElectionStateMachine.Problem(reason: "broken")

    private func machine() -> ElectionStateMachine {
        var configuration = LeaderConfiguration()
        configuration.initialRetryDelay = .milliseconds(100)
        configuration.maximumRetryDelay = .milliseconds(400)
        configuration.retryResetInterval = .seconds(10)
        return ElectionStateMachine(configuration: configuration, seed: 1)
    }

    private func leading() -> ElectionStateMachine {
        var machine = machine()
        _ = machine.start()
        _ = machine.handle(.elected)
        _ = machine.handle(.inOffice)
        return machine
    }

    /// Runs a term that ends at once, and gives what follows.
    private func fail(_ machine: inout ElectionStateMachine, lasted: Duration = .zero) -> ElectionFailure? {
        _ = machine.handle(.elected)
        _ = machine.handle(.inOffice)
        _ = machine.handle(.termEnded(.failed(Self.problem), lasted: lasted))
        guard case .pause(let failure) = machine.handle(.gaveUp) else { return nil }
        _ = machine.handle(.paused)
        return failure
    }

    /// Runs a term that does not fail, and gives the pause that follows.
    private func term(
        _ machine: inout ElectionStateMachine, _ end: ElectionStateMachine.TermEnd = .returned,
        lasted: Duration = .milliseconds(1)
    ) -> ElectionFailure? {
        _ = machine.handle(.elected)
        _ = machine.handle(.inOffice)
        _ = machine.handle(.termEnded(end, lasted: lasted))
        guard case .pause(let failure) = machine.handle(.gaveUp) else { return nil }
        _ = machine.handle(.paused)
        return failure
    }

    @Test(arguments: [ElectionStateMachine.TermEnd.returned, .lost, .resigned])
    func `short terms that follow one another are paced, however they end`(end: ElectionStateMachine.TermEnd) {
        var machine = machine()
        _ = machine.start()
        #expect(term(&machine, end) == nil, "one is nothing special")
        let pauses = (0..<8).compactMap { _ in term(&machine, end) }
        #expect(pauses.count == 8)
        let longest: [Duration] = [100, 200, 400, 800, 1000, 1000, 1000, 1000].map { .milliseconds($0) }
        for (pause, longest) in zip(pauses, longest) {
            #expect(pause.retryDelay > longest / 2 && pause.retryDelay <= longest)
            #expect(pause.isShortTerm && pause.reason.contains("minimumTermDuration"))
        }
    }

    @Test func `a term that was long enough ends the pauses between short ones`() {
        var machine = machine()
        _ = machine.start()
        for _ in 0..<6 { _ = term(&machine) }
        #expect(term(&machine, lasted: .seconds(1)) == nil)
        #expect(term(&machine) == nil)
        #expect(term(&machine)!.retryDelay <= .milliseconds(100))
    }

    @Test func `pauses between short terms and pauses after failures do not lengthen each other`() {
        var machine = machine()
        _ = machine.start()
        for _ in 0..<6 { _ = term(&machine) }
        #expect(fail(&machine)!.retryDelay <= .milliseconds(100))
        #expect(fail(&machine)?.isShortTerm == false)
    }

    @Test func `with a minimum of zero no term is short`() {
        var configuration = LeaderConfiguration()
        configuration.minimumTermDuration = .zero
        var machine = ElectionStateMachine(configuration: configuration, seed: 1)
        _ = machine.start()
        for _ in 0..<5 { #expect(term(&machine, lasted: .zero) == nil) }
    }

    @Test func `who is to stop does not pause after a short term`() {
        var machine = machine()
        _ = machine.start()
        for _ in 0..<3 { _ = term(&machine) }
        _ = machine.handle(.elected)
        _ = machine.handle(.inOffice)
        machine.stop()
        #expect(machine.handle(.termEnded(.returned, lasted: .zero)) == .giveUp)
        #expect(machine.handle(.gaveUp) == .finish(nil))
        var pausing = self.machine()
        _ = pausing.start()
        _ = term(&pausing)
        _ = pausing.handle(.elected)
        _ = pausing.handle(.inOffice)
        _ = pausing.handle(.termEnded(.returned, lasted: .zero))
        guard case .pause = pausing.handle(.gaveUp) else {
            Issue.record("no pause")
            return
        }
        pausing.stop()
        #expect(pausing.handle(.paused) == .finish(nil))
    }

    @Test func `a participant stands, takes office, leads, gives up and stands again`() {
        var machine = machine()
        #expect(machine.start() == .stand)
        #expect(machine.handle(.elected) == .takeOffice)
        #expect(machine.handle(.inOffice) == .lead)
        #expect(machine.handle(.termEnded(.returned, lasted: .zero)) == .giveUp)
        #expect(machine.handle(.gaveUp) == .stand)
    }

    @Test(arguments: [ElectionStateMachine.TermEnd.returned, .lost, .resigned])
    func `after a term that did not fail it stands again without a pause`(end: ElectionStateMachine.TermEnd) {
        var machine = leading()
        #expect(machine.handle(.termEnded(end, lasted: .zero)) == .giveUp)
        #expect(machine.handle(.gaveUp) == .stand)
    }

    @Test func `failures that follow one another quickly are followed by pauses that grow up to the longest`() {
        var machine = machine()
        _ = machine.start()
        let pauses = (0..<5).compactMap { _ in fail(&machine)?.retryDelay }
        let longest: [Duration] = [100, 200, 400, 400, 400].map { .milliseconds($0) }
        #expect(pauses.count == 5)
        for (pause, longest) in zip(pauses, longest) { #expect(pause > longest / 2 && pause <= longest) }
    }

    @Test func `after a stable term, or one that ended well, the pauses begin anew`() {
        var machine = machine()
        _ = machine.start()
        for _ in 0..<3 { _ = fail(&machine) }
        #expect(fail(&machine, lasted: .seconds(10))!.retryDelay <= .milliseconds(100))
        for _ in 0..<3 { _ = fail(&machine) }
        _ = machine.handle(.elected)
        _ = machine.handle(.inOffice)
        _ = machine.handle(.termEnded(.returned, lasted: .zero))
        _ = machine.handle(.gaveUp)
        #expect(fail(&machine)!.retryDelay <= .milliseconds(100))
    }

    @Test func `a rejected candidacy is told with its reason and tried again`() {
        var machine = machine()
        _ = machine.start()
        let forbidden = ElectionStateMachine.Problem(reason: "noAuth", isUnauthorized: true)
        guard case .pause(let failure) = machine.handle(.rejected(forbidden)) else {
            Issue.record("no pause")
            return
        }
        #expect(failure.isUnauthorized && failure.reason == "noAuth" && failure.retryDelay > .zero)
        #expect(machine.handle(.paused) == .stand)
    }

    @Test func `an office that is refused, or lost before the term, is given up first`() {
        var machine = machine()
        _ = machine.start()
        _ = machine.handle(.elected)
        #expect(machine.handle(.officeLost) == .giveUp)
        #expect(machine.handle(.gaveUp) == .stand)
        _ = machine.handle(.elected)
        #expect(machine.handle(.officeRefused(Self.problem)) == .giveUp)
        guard case .pause = machine.handle(.gaveUp) else {
            Issue.record("no pause")
            return
        }
    }

    @Test func `whoever is to stop gives up what it has and begins nothing`() {
        var idle = machine()
        idle.stop()
        #expect(idle.start() == .finish(nil))

        var standing = machine()
        _ = standing.start()
        standing.stop()
        #expect(standing.handle(.stopped) == .finish(nil))

        var elected = machine()
        _ = elected.start()
        elected.stop()
        #expect(elected.handle(.elected) == .giveUp)
        #expect(elected.handle(.gaveUp) == .finish(nil))

        var inOffice = machine()
        _ = inOffice.start()
        _ = inOffice.handle(.elected)
        inOffice.stop()
        #expect(inOffice.handle(.inOffice) == .giveUp)

        var leading = leading()
        leading.stop()
        #expect(leading.handle(.termEnded(.failed(Self.problem), lasted: .zero)) == .giveUp)
        #expect(leading.handle(.gaveUp) == .finish(nil))
        #expect(leading.handle(.paused) == .finish(nil))
    }

    @Test func `the end of the client is the end, and an error unless it was to stop`() {
        let error = ZooKeeperError(.clientStopped)
        var machine = machine()
        _ = machine.start()
        #expect(machine.handle(.clientEnded(error)) == .finish(error))
        var stopping = self.machine()
        _ = stopping.start()
        stopping.stop()
        #expect(stopping.handle(.clientEnded(error)) == .finish(nil))
    }
}
