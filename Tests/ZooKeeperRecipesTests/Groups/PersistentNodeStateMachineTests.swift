import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct PersistentNodeStateMachineTests {
    private let own = SessionID(rawValue: 7)
    private let earlier = SessionID(rawValue: 5)
    private let foreign = SessionID(rawValue: 9)

    private func machine(
        isOwn: @escaping @Sendable (StandingZNode) -> Bool = { _ in false }
    ) -> PersistentNodeStateMachine {
        PersistentNodeStateMachine(session: own, earlierSessions: [earlier], isOwn: isOwn)
    }

    private func znode(_ owner: SessionID?, data: [UInt8] = [1], version: Int32 = 0) -> StandingZNode {
        StandingZNode(
            data: data,
            stat: ZNodeStat(
                czxid: ZXID(rawValue: 1), mzxid: ZXID(rawValue: 1), pzxid: ZXID(rawValue: 1), dataVersion: version,
                ephemeralOwner: owner))
    }

    @Test func `what is missing is created, what stands with its data is left alone`() {
        var machine = machine()
        #expect(machine.next(after: .absent, data: [1], refusal: nil).step == .create)
        let (step, state) = machine.next(after: .present(znode(own)), data: [1], refusal: nil)
        #expect(step == .rest)
        #expect(state == .standing(znode(own)))
    }

    @Test func `H60 an earlier session's znode is replaced with its version`() {
        var machine = machine()
        let sight = PersistentNodeStateMachine.Sight.present(znode(earlier, version: 4))
        #expect(machine.next(after: sight, data: [1], refusal: nil).step == .replace(version: 4))
    }

    @Test func `H60 so is one that the owner recognizes as its own of another process`() {
        var machine = machine { $0.data == [1] }
        #expect(machine.next(after: .present(znode(foreign)), data: [1], refusal: nil).step == .replace(version: 0))
        let other = znode(foreign, data: [2])
        #expect(machine.next(after: .present(other), data: [1], refusal: nil).step == .rest)
    }

    @Test func `H13 somebody else's znode is respected and reported, ephemeral or not`() {
        var machine = machine { _ in true }
        #expect(machine.next(after: .present(znode(nil)), data: [1], refusal: nil).state == .occupied(znode(nil)))
        var strict = self.machine()
        let (step, state) = strict.next(after: .present(znode(foreign)), data: [1], refusal: nil)
        #expect(step == .rest)
        #expect(state == .occupied(znode(foreign)))
    }

    @Test func `H60 data that somebody else wrote is written again, with its version, but not for ever at full speed`()
    {
        var machine = machine()
        var steps: [PersistentNodeStateMachine.Step] = []
        for version in Int32(1)...5 {
            steps.append(
                machine.next(after: .present(znode(own, data: [9], version: version)), data: [1], refusal: nil).step)
        }
        #expect(steps == [.write(version: 1), .write(version: 2), .write(version: 3), .pause, .write(version: 5)])
    }

    @Test func `a refusal pauses and is told; so does a znode that may not be read`() {
        var machine = machine()
        let refusal = ZooKeeperError(.noAuth)
        let (step, state) = machine.next(after: .absent, data: [1], refusal: refusal)
        #expect(step == .pause)
        #expect(state == .refused(refusal))
        #expect(machine.next(after: .failed(refusal), data: [1], refusal: nil).step == .pause)
        let replaced = machine.next(after: .present(znode(earlier)), data: [1], refusal: refusal)
        #expect(replaced.step == .pause)
    }

    @Test func `a lost connection says nothing about the znode`() {
        var machine = machine()
        let (step, state) = machine.next(after: .failed(ZooKeeperError(.connectionLoss)), data: [1], refusal: nil)
        #expect(step == .look)
        #expect(state == nil)
    }
}
