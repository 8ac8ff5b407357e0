import Testing

@testable import zkrecipes

@Suite struct PauseStateMachineTests {
    private var machine = PauseStateMachine()

    @Test mutating func `a closed gate pauses the command, and an open one resumes it`() {
        #expect(machine.handle(.gateChanged, isClosing: false) == nil)
        #expect(machine.handle(.gateChanged, isClosing: true) == .pause)
        #expect(machine.handle(.gateChanged, isClosing: true) == nil)
        #expect(machine.handle(.acknowledged, isClosing: true) == .leave)
        #expect(machine.handle(.gateChanged, isClosing: false) == nil)
        #expect(machine.handle(.entered, isClosing: false) == .resume)
        #expect(machine.handle(.acknowledged, isClosing: false) == nil)
        #expect(machine.state == .running)
    }

    @Test mutating func `a gate that opens again resumes the command only after its acknowledgement`() {
        #expect(machine.handle(.gateChanged, isClosing: true) == .pause)
        #expect(machine.handle(.gateChanged, isClosing: false) == nil)
        #expect(machine.handle(.acknowledged, isClosing: false) == .resume)
        #expect(machine.state == .resuming)
    }

    @Test mutating func `a command that resumes is paused again only after its acknowledgement`() {
        #expect(machine.handle(.gateChanged, isClosing: true) == .pause)
        #expect(machine.handle(.acknowledged, isClosing: true) == .leave)
        #expect(machine.handle(.entered, isClosing: true) == .resume)
        #expect(machine.handle(.gateChanged, isClosing: true) == nil)
        #expect(machine.handle(.acknowledged, isClosing: true) == .pause)
    }

    @Test mutating func `a failure is repeated, and resumes the command if the gate has opened again`() {
        #expect(machine.handle(.gateChanged, isClosing: true) == .pause)
        #expect(machine.handle(.failed, isClosing: true) == .backOff)
        #expect(machine.handle(.retry, isClosing: true) == .pause)
        #expect(machine.handle(.failed, isClosing: true) == .backOff)
        #expect(machine.handle(.retry, isClosing: false) == .resume)
        #expect(machine.handle(.failed, isClosing: false) == .backOff)
        #expect(machine.handle(.retry, isClosing: false) == .resume)
        #expect(machine.handle(.failed, isClosing: false) == .backOff)
        #expect(machine.handle(.retry, isClosing: true) == .pause)
    }

    @Test(arguments: [.acknowledged, .failed, .retry, .entered] as [PauseStateMachine.Input])
    func `an answer that nobody asked for has no effect`(input: PauseStateMachine.Input) {
        var machine = PauseStateMachine()
        #expect(machine.handle(input, isClosing: true) == nil)
        #expect(machine.state == .running)
    }
}
