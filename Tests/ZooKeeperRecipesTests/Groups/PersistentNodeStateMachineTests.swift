import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct PersistentNodeStateMachineTests {
    private typealias Machine = PersistentNodeStateMachine

    private let own = SessionID(rawValue: 7)
    private let earlier = SessionID(rawValue: 5)
    private let foreign = SessionID(rawValue: 9)
    private let refusal = ZooKeeperError(.noAuth)

    private func machine(isOwn: @escaping @Sendable (ExistingZNode) -> Bool = { _ in false }) -> Machine {
        Machine(session: own, earlierSessions: [earlier], isOwn: isOwn)
    }

    /// A machine whose znode exists, created by transaction 1.
    private func standing() -> Machine {
        var machine = machine()
        _ = machine.next(after: .present(znode(own)), step: .create, outcome: .created(ZXID(rawValue: 1)), data: [1])
        return machine
    }

    private func znode(
        _ owner: SessionID?, data: [UInt8] = [1], version: Int32 = 0, czxid: Int64 = 1
    ) -> ExistingZNode {
        ExistingZNode(
            data: data,
            stat: ZNodeStat(
                czxid: ZXID(rawValue: czxid), mzxid: ZXID(rawValue: czxid), pzxid: ZXID(rawValue: czxid),
                dataVersion: version, ephemeralOwner: owner))
    }

    @Test func `what is missing is created, what was created with its data is left alone`() {
        var machine = machine()
        #expect(machine.next(after: .absent, data: [1]).step == .create)
        let (step, state) = machine.next(
            after: .present(znode(own)), step: .create, outcome: .created(ZXID(rawValue: 1)), data: [1])
        #expect(step == .rest)
        #expect(state == .present(znode(own)))
    }

    @Test func `a znode of the own session that somebody else created is respected`() {
        var machine = machine()
        let (step, state) = machine.next(after: .present(znode(own)), step: .create, data: [1])
        #expect(step == .rest)
        #expect(state == .occupied(znode(own)))
        // Nor is one that came in the place of the own one.
        var replaced = standing()
        let other = znode(own, czxid: 2)
        #expect(replaced.next(after: .present(other), data: [1]).state == .occupied(other))
    }

    @Test func `a znode of the own session is the own one if the answer to its creation was lost`() {
        var machine = machine()
        let lost = machine.next(
            after: .failed(ZooKeeperError(.connectionLoss)), step: .create, outcome: .lost, data: [1])
        #expect(lost.step == .look)
        #expect(machine.isCreationUncertain)
        #expect(machine.next(after: .present(znode(own)), data: [1]).state == .present(znode(own)))
        // That was the one; another is not.
        let other = znode(own, czxid: 2)
        #expect(machine.next(after: .present(other), data: [1]).state == .occupied(other))
    }

    @Test func `a transaction's creation is recognized by the look after it`() {
        var machine = machine()
        let (_, state) = machine.next(
            after: .present(znode(own)), step: .replace(version: 0), outcome: .created(nil), data: [1])
        #expect(state == .present(znode(own)))
        #expect(machine.creation == ZXID(rawValue: 1))
    }

    @Test func `an earlier session's znode is replaced with its version`() {
        var machine = machine()
        let sight = Machine.Sight.present(znode(earlier, version: 4))
        #expect(machine.next(after: sight, data: [1]).step == .replace(version: 4))
    }

    @Test func `so is one that the owner recognizes as its own of another process`() {
        var machine = machine { $0.data == [1] }
        #expect(machine.next(after: .present(znode(foreign)), data: [1]).step == .replace(version: 0))
        let other = znode(foreign, data: [2])
        #expect(machine.next(after: .present(other), data: [1]).step == .rest)
        // A znode of this client is no other process's.
        #expect(machine.next(after: .present(znode(own)), data: [1]).step == .rest)
    }

    @Test func `somebody else's znode is respected and reported, ephemeral or not`() {
        var machine = machine { _ in true }
        #expect(machine.next(after: .present(znode(nil)), data: [1]).state == .occupied(znode(nil)))
        var strict = self.machine()
        let (step, state) = strict.next(after: .present(znode(foreign)), data: [1])
        #expect(step == .rest)
        #expect(state == .occupied(znode(foreign)))
    }

    @Test func `data that somebody else wrote is written again, with its version`() {
        var machine = standing()
        let (step, state) = machine.next(after: .present(znode(own, data: [9], version: 3)), data: [1])
        #expect(step == .write(version: 3))
        #expect(state == .present(znode(own, data: [9], version: 3)))
    }

    @Test func `a refusal pauses and is reported; so does a znode that may not be read`() {
        var machine = machine()
        let (step, state) = machine.next(after: .absent, step: .create, outcome: .refused(refusal), data: [1])
        #expect(step == .pause)
        #expect(state == .refused(refusal))
        #expect(machine.next(after: .failed(refusal), data: [1]).step == .pause)
        let replaced = machine.next(
            after: .present(znode(earlier)), step: .replace(version: 0), outcome: .refused(refusal), data: [1])
        #expect(replaced.step == .pause)
    }

    @Test func `a refused write is reported, and stays so until it succeeds or other data is set`() {
        var machine = standing()
        let sight = Machine.Sight.present(znode(own))
        let (step, state) = machine.next(
            after: sight, step: .write(version: 0), outcome: .refused(refusal), data: [2])
        #expect(step == .pause)
        #expect(state == .refused(refusal))
        // The next try leaves the state, until it is known what becomes of it.
        let again = machine.next(after: sight, data: [2])
        #expect(again.step == .write(version: 0) && again.state == nil)
        let other = machine.next(after: sight, data: [3])
        #expect(other.step == .write(version: 0) && other.state == .present(znode(own)))
        let back = machine.next(after: sight, data: [1])
        #expect(back.step == .rest && back.state == .present(znode(own)))
    }

    @Test func `a write that was lost with its connection is repeated after a pause`() {
        var machine = machine()
        let failed = Machine.Sight.failed(ZooKeeperError(.connectionLoss))
        #expect(machine.next(after: failed, step: .create, outcome: .lost, data: [1]).step == .look)
        let (pause, state) = machine.next(after: .absent, data: [1])
        #expect(pause == .pause && state == .absent)
        #expect(machine.next(after: .absent, data: [1]).step == .create)
        // Other data may pass at once.
        _ = machine.next(after: failed, step: .create, outcome: .lost, data: [1])
        #expect(machine.next(after: .absent, data: [2]).step == .create)
    }

    @Test func `a lost connection says nothing about the znode`() {
        var machine = machine()
        let (step, state) = machine.next(after: .failed(ZooKeeperError(.connectionLoss)), data: [1])
        #expect(step == .look)
        #expect(state == nil)
    }
}
