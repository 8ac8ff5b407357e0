import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

@Suite struct HoldStateMachineTests {
    private static let record: [UInt8] = [1]
    private static let touch = HoldChange.touchRecords([9], version: 7)

    private func facts(_ owners: [String], _ signal: HoldFacts.Signal) -> HoldStateMachine.Event {
        .found(HoldFacts(records: [9], version: 7, owners: owners, signal: signal))
    }

    private func holding(_ hasWindow: Bool = false) -> HoldFacts.Signal { .holds(version: 1, hasWindow: hasWindow) }

    /// A machine that has read the facts, and what it does then.
    private func planned(
        _ goal: HoldStateMachine.Goal, _ facts: HoldStateMachine.Event
    ) -> (machine: HoldStateMachine, action: HoldStateMachine.Action) {
        var machine = HoldStateMachine(goal)
        #expect(machine.start() == .read)
        let action = machine.handle(facts)
        return (machine, action)
    }

    // MARK: Holds

    @Test func `the first hold creates the signal in the same transaction`() {
        var (machine, action) = planned(.hold("ada", Self.record), facts([], .none))
        #expect(action == .execute([Self.touch, .create("ada", Self.record), .createSignal(owner: "ada")]))
        action = machine.handle(.done)
        #expect(action == .finish(true))
    }

    @Test(arguments: [
        HoldFacts.Signal.window, .holds(version: 1, hasWindow: false), .holds(version: 1, hasWindow: true),
    ])
    func `a hold under a signal depends on that signal`(signal: HoldFacts.Signal) {
        let (_, action) = planned(.hold("ada", Self.record), facts(["bob"], signal))
        #expect(action == .execute([Self.touch, .create("ada", Self.record), .checkSignal]))
    }

    @Test func `a second hold of one owner replaces the reason, and creates a missing signal`() {
        var (machine, action) = planned(.hold("ada", Self.record), facts(["ada"], .none))
        #expect(action == .execute([Self.touch, .write("ada", Self.record), .createSignal(owner: "ada")]))
        action = machine.handle(.done)
        #expect(action == .finish(false))
    }

    @Test func `a hold creates the structure first`() {
        var (machine, action) = planned(.hold("ada", Self.record), .found(nil))
        #expect(action == .createStructure)
        action = machine.handle(.done)
        #expect(action == .read)
    }

    // MARK: Removals

    @Test func `the last removal deletes the signal in the same transaction`() {
        var (machine, action) = planned(.remove("ada"), facts(["ada"], holding()))
        #expect(action == .execute([Self.touch, .remove("ada"), .removeSignal(version: 1)]))
        action = machine.handle(.done)
        #expect(action == .finish(true))
    }

    @Test func `another hold keeps the signal`() {
        let (_, action) = planned(.remove("ada"), facts(["ada", "bob"], holding()))
        #expect(action == .execute([Self.touch, .remove("ada")]))
        let (_, during) = planned(.remove("ada"), facts(["ada", "bob"], holding(true)))
        #expect(during == .execute([Self.touch, .remove("ada")]))
    }

    @Test func `the last removal waits for a window that needs the signal`() {
        var (machine, action) = planned(.remove("ada"), facts(["ada"], holding(true)))
        #expect(action == .awaitWindowEnd)
        action = machine.handle(.done)
        #expect(action == .read)
        action = machine.handle(facts(["ada"], holding()))
        #expect(action == .execute([Self.touch, .remove("ada"), .removeSignal(version: 1)]))
    }

    @Test(arguments: [HoldFacts.Signal.none, .window])
    func `a hold without a signal of its own is removed alone`(signal: HoldFacts.Signal) {
        let (_, action) = planned(.remove("ada"), facts(["ada"], signal))
        #expect(action == .execute([Self.touch, .remove("ada")]))
    }

    @Test func `a hold that does not exist changes nothing`() {
        #expect(planned(.remove("ada"), facts([], .none)).action == .finish(false))
        #expect(planned(.remove("ada"), facts(["bob"], holding())).action == .finish(false))
        #expect(planned(.remove("ada"), .found(nil)).action == .finish(false))
    }

    @Test func `a signal whose last hold somebody else has deleted is removed`() {
        var (machine, action) = planned(.remove("ada"), facts([], holding()))
        #expect(action == .execute([Self.touch, .removeSignal(version: 1)]))
        action = machine.handle(.done)
        #expect(action == .finish(false))
    }

    // MARK: Failures

    @Test(arguments: [ZooKeeperError.Code.badVersion, .noNode, .nodeExists, .notEmpty])
    func `a conflict reads again after a pause`(code: ZooKeeperError.Code) {
        var (machine, _) = planned(.remove("ada"), facts(["ada"], holding()))
        var action = machine.handle(.failed(ZooKeeperError(code)))
        #expect(action == .pause)
        action = machine.handle(.done)
        #expect(action == .read)
        action = machine.handle(facts([], .none))
        #expect(action == .finish(false))
    }

    @Test func `a lost answer counts as a success if the outcome is there`() {
        let lost = ZooKeeperError(.connectionLoss, isOutcomeUnknown: true)
        var (removal, action) = planned(.remove("ada"), facts(["ada"], holding()))
        action = removal.handle(.failed(lost))
        #expect(action == .pause)
        action = removal.handle(.done)
        action = removal.handle(facts([], .none))
        #expect(action == .finish(true))
        var (hold, next) = planned(.hold("ada", Self.record), facts([], .none))
        next = hold.handle(.failed(lost))
        next = hold.handle(.done)
        next = hold.handle(facts(["ada"], holding()))
        #expect(next == .execute([Self.touch, .write("ada", Self.record), .checkSignal]))
        next = hold.handle(.done)
        #expect(next == .finish(true))
    }

    @Test func `a refusal ends the attempt, and a read that failed is repeated`() {
        var (machine, action) = planned(.hold("ada", Self.record), facts([], .none))
        action = machine.handle(.failed(ZooKeeperError(.noAuth)))
        #expect(action == .fail(ZooKeeperError(.noAuth)))
        var reading = HoldStateMachine(.remove("ada"))
        _ = reading.start()
        action = reading.handle(.failed(ZooKeeperError(.connectionLoss)))
        #expect(action == .pause)
        action = reading.handle(.done)
        #expect(action == .read)
        action = reading.handle(.failed(ZooKeeperError(.noAuth)))
        #expect(action == .fail(ZooKeeperError(.noAuth)))
    }

    @Test func `a signal with a child that is no window is reported, and is not tried for ever`() {
        var (machine, action) = planned(.remove("ada"), facts(["ada"], holding()))
        let refused = ZooKeeperError(.notEmpty, path: "/b/signal")
        for _ in 0..<2 {
            action = machine.handle(.failed(refused))
            #expect(action == .pause)
            action = machine.handle(.done)
            action = machine.handle(facts(["ada"], holding()))
        }
        // A window in between begins the count again.
        action = machine.handle(.failed(ZooKeeperError(.badVersion)))
        action = machine.handle(.done)
        action = machine.handle(facts(["ada"], holding(true)))
        #expect(action == .awaitWindowEnd)
        action = machine.handle(.done)
        for _ in 0..<3 {
            action = machine.handle(facts(["ada"], holding()))
            action = machine.handle(.failed(refused))
            guard action == .pause else { break }
            action = machine.handle(.done)
        }
        #expect(action == .fail(refused))
    }

    // MARK: Data

    @Test func `the signal of holds is told from that of a window, and older versions take its hold for no window`() {
        let signal = SignalRecord(SignalRecord(holdOf: "ada").bytes)
        #expect(signal.isHold && !signal.keepsRecords && signal.owner == "ada")
        let window = SignalRecord(id: "1", owner: "ada", reason: "hold", sessionTimeout: .seconds(1))
        #expect(!SignalRecord(window.bytes).isHold)
        // As the children of BASE/windows were parsed before there were holds.
        #expect(!SignalRecord(HoldRecord(owner: "ada", reason: "x\ny").bytes).keepsRecords)
        #expect(HoldRecord(HoldRecord(owner: "ada", reason: "x\ny").bytes).reason == "x\ny")
    }

    @Test func `holds are found by their names`() {
        let names = ["hold-bob", "0f2e7b1c-uuid", "hold-ada-hold-1", "holder"]
        #expect(ExclusiveHold.owners(among: names) == ["ada-hold-1", "bob"])
        #expect(ExclusiveHold.problem(ofOwner: "a/b") != nil && ExclusiveHold.problem(ofOwner: "ada (on call)") == nil)
    }
}
