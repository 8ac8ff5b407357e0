import Testing
import ZooKeeper
import ZooKeeperRecipes

typealias ContenderMachine = ContenderStateMachine

/// A contender in a test: gives the machine its answers, and knows the names that it should use.
struct ContenderDriver {
    static let uuid = "11111111-1111-4111-8111-111111111111"
    static let session = SessionID(rawValue: 7)

    var machine: ContenderMachine
    var uuid = Self.uuid

    init(_ policy: ContenderPolicy = .write, waits: Bool = true) {
        machine = ContenderMachine(policy: policy, waits: waits)
    }

    /// In the queue, with the own znode at a number, about to decide by a listing.
    static func listing(_ policy: ContenderPolicy, own number: Int32, waits: Bool = true) -> ContenderDriver {
        var driver = ContenderDriver(policy, waits: waits)
        driver.begin()
        if !waits { driver.answer(.looked(.success([]))) }
        driver.answer(.joined(.success(driver.own(number, policy.kind)), .failure(loss)))
        driver.begin()
        return driver
    }

    static let loss = ZooKeeperError(.connectionLoss, isOutcomeUnknown: true)

    @discardableResult
    mutating func answer(_ input: ContenderMachine.Input) -> ContenderMachine.Action? {
        machine.receive(input, step: machine.step)
    }

    /// Gets a session, or the same one again.
    @discardableResult
    mutating func begin(epoch: Int = 1) -> ContenderMachine.Action? {
        if let first = machine.receive(.start), first != .awaitSession(isRetry: false) { return first }
        return answer(.session(epoch: epoch, id: Self.session, uuid: uuid))
    }

    func own(_ number: Int32, _ kind: ContenderName.Kind = .write, czxid: Int64? = nil) -> ContenderMachine.Own {
        let name = ContenderName(ContenderName.name(uuid: uuid, kind: kind, number: number))
        return ContenderMachine.Own(name: name!, czxid: ZXID(rawValue: czxid ?? Int64(number) + 100))
    }

    func stat(czxid: Int64, owner: SessionID? = Self.session) -> ZNodeStat {
        ZNodeStat(
            czxid: ZXID(rawValue: czxid), mzxid: ZXID(rawValue: czxid), pzxid: ZXID(rawValue: czxid),
            ephemeralOwner: owner)
    }
}

/// Somebody else's znode.
func foreign(_ kind: ContenderName.Kind, _ number: Int32) -> String {
    ContenderName.name(uuid: "22222222-2222-4222-8222-222222222222", kind: kind, number: number)
}
