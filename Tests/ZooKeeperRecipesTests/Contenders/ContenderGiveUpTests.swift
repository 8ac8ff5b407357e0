import Testing
import ZooKeeper
import ZooKeeperRecipes

/// Giving up, and what comes too late, in every state.
@Suite struct ContenderGiveUpTests {
    /// How a contender gets into a state, and what must be cleaned up there.
    struct Situation: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var cleanUp: ContenderMachine.CleanUpKind?
        var driver: @Sendable () -> ContenderDriver
    }

    private static let own = ContenderDriver().own(10)
    private static let ownNode = ContenderMachine.CleanUpKind.node(own.name.string)
    private static let ownPrefix = ContenderMachine.CleanUpKind.prefix(ContenderName.prefix(uuid: ContenderDriver.uuid))

    static let situations: [Situation] = [
        Situation(testDescription: "idle", cleanUp: nil) { ContenderDriver() },
        Situation(testDescription: "awaiting a session", cleanUp: nil) {
            var driver = ContenderDriver()
            _ = driver.machine.receive(.start)
            return driver
        },
        Situation(testDescription: "looking", cleanUp: nil) {
            var driver = ContenderDriver(waits: false)
            driver.begin()
            return driver
        },
        Situation(testDescription: "joining", cleanUp: ownPrefix) { joining() },
        Situation(testDescription: "creating parents", cleanUp: nil) {
            var driver = joining()
            driver.answer(.joined(.failure(ZooKeeperError(.noNode)), .failure(ZooKeeperError(.noNode))))
            return driver
        },
        Situation(testDescription: "awaiting a session after a lost create", cleanUp: ownPrefix) { lost() },
        Situation(testDescription: "finding", cleanUp: ownPrefix) {
            var driver = lost()
            driver.begin()
            return driver
        },
        Situation(testDescription: "inspecting", cleanUp: ownPrefix) {
            var driver = lost()
            driver.begin()
            driver.answer(.found(.success([own.name.string])))
            return driver
        },
        Situation(testDescription: "listing", cleanUp: ownNode) { ContenderDriver.listing(.write, own: 10) },
        Situation(testDescription: "awaiting a session to list", cleanUp: ownNode) {
            var driver = ContenderDriver.listing(.write, own: 10)
            driver.answer(.listed(.failure(ContenderDriver.loss)))
            return driver
        },
        Situation(testDescription: "watching", cleanUp: ownNode) { watching() },
        Situation(testDescription: "waiting", cleanUp: ownNode) {
            var driver = watching()
            driver.answer(.watched(.success(driver.stat(czxid: 9))))
            return driver
        },
        Situation(testDescription: "holding", cleanUp: ownNode) { holding() },
        Situation(testDescription: "proving", cleanUp: ownNode) {
            var driver = holding()
            driver.answer(.held(isValid: false))
            return driver
        },
        Situation(testDescription: "pausing", cleanUp: ownNode) {
            var driver = holding()
            driver.answer(.held(isValid: false))
            driver.answer(.proved(.success(())))
            driver.answer(.held(isValid: false))
            return driver
        },
    ]

    private static func joining() -> ContenderDriver {
        var driver = ContenderDriver()
        driver.begin()
        return driver
    }

    private static func lost() -> ContenderDriver {
        var driver = joining()
        driver.answer(.joined(.failure(ContenderDriver.loss), .failure(ContenderDriver.loss)))
        return driver
    }

    private static func watching() -> ContenderDriver {
        var driver = ContenderDriver.listing(.write, own: 10)
        driver.answer(.listed(.success([foreign(.write, 9), own.name.string])))
        return driver
    }

    private static func holding() -> ContenderDriver {
        var driver = ContenderDriver.listing(.write, own: 10)
        driver.answer(.listed(.success([own.name.string])))
        return driver
    }

    /// Everything that can come.
    private static let inputs: [ContenderMachine.Input] = [
        .start, .session(epoch: 1, id: ContenderDriver.session, uuid: "x"), .noSession(ZooKeeperError(.clientStopped)),
        .looked(.success([])), .joined(.success(own), .success([own.name.string])), .parentsCreated(.success(())),
        .found(.success([])), .inspected([]), .listed(.success([own.name.string])),
        .watched(.failure(ZooKeeperError(.noNode))), .predecessorEvent(.gone), .predecessorEvent(.changed),
        .predecessorEvent(.sessionEnded), .held(isValid: true), .proved(.success(())), .paused,
    ]

    @Test(arguments: situations)
    func `giving up cleans up what may stand, once`(_ situation: Situation) {
        for outcome in [ContenderMachine.Outcome.timedOut, .cancelled] {
            var driver = situation.driver()
            #expect(driver.machine.giveUp(outcome) == .finish(outcome, cleanUp: situation.cleanUp))
            #expect(driver.machine.giveUp(outcome) == nil)
        }
    }

    @Test(arguments: situations)
    func `what comes after the end is ignored`(_ situation: Situation) {
        for input in Self.inputs {
            var driver = situation.driver()
            _ = driver.machine.giveUp(.cancelled)
            #expect(driver.answer(input) == nil)
            #expect(driver.machine.receiveOwnGone(Self.own.name.string) == nil)
        }
    }

    @Test(arguments: situations)
    func `answers to earlier actions are ignored`(_ situation: Situation) {
        for input in Self.inputs {
            var driver = situation.driver()
            #expect(driver.machine.receive(input, step: driver.machine.step - 1) == nil)
        }
    }

    @Test func `giving up after the grant changes nothing`() {
        var driver = Self.holding()
        driver.answer(.held(isValid: true))
        #expect(driver.machine.giveUp(.cancelled) == nil)
    }
}
