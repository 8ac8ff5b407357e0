import Testing
import ZooKeeper
import ZooKeeperRecipes

/// A contender that takes the place that the holder offers.
@Suite struct ContenderTransferTests {
    private static let holder = foreign(.lock, 3)
    private static let offer = "/queue-requests/offer"
    private static let old = ContenderName.name(uuid: ContenderDriver.uuid, kind: .lock, number: 9)
    private static let new = ContenderName.name(uuid: ContenderDriver.uuid, kind: .lock, number: 3)
    private static let move = ContenderMachine.Action.move(
        ContenderMachine.Move(from: old, to: new, holder: holder, offer: offer))

    /// In the queue with number 9, behind another contender and the holder.
    private func waiting() -> ContenderDriver {
        var driver = ContenderDriver.listing(.exclusive(.lock), own: 9)
        driver.answer(.listed(.success([Self.holder, foreign(.lock, 5), Self.old])))
        driver.answer(.watched(.success(driver.stat(czxid: 105))))
        return driver
    }

    private func offer(_ driver: inout ContenderDriver, to candidate: String = old) -> ContenderMachine.Action? {
        driver.machine.receiveOffer(of: ContenderName(Self.holder)!, to: candidate, offer: Self.offer)
    }

    @Test func `an offer is taken by one transaction, and everything else goes on`() {
        var driver = waiting()
        let step = driver.machine.step
        #expect(offer(&driver) == Self.move)
        #expect(driver.machine.step == step)
        // The one in front goes meanwhile: that is answered as ever.
        #expect(driver.answer(.predecessorEvent(.gone)) == .list(own: Self.old, discarding: []))
    }

    @Test func `an offer that comes while the connection is lost is taken when the place is found again`() {
        var driver = waiting()
        #expect(driver.machine.receiveMissedOffer() == nil)
        driver.answer(.predecessorEvent(.gone))
        #expect(driver.answer(.listed(.failure(ContenderDriver.loss))) == .awaitSession(isRetry: true))
        #expect(offer(&driver) == nil)
        #expect(driver.begin() == .list(own: Self.old, discarding: []))
        let predecessor = foreign(.lock, 5)
        let watch = driver.answer(.listed(.success([Self.holder, predecessor, Self.old])))
        #expect(watch == .watch(predecessor, own: Self.old))
        #expect(driver.machine.receiveMissedOffer() == nil)
        #expect(driver.answer(.watched(.success(driver.stat(czxid: 105)))) == nil)
        #expect(driver.machine.receiveMissedOffer() == Self.move)
        #expect(driver.machine.receiveMissedOffer() == nil)
    }

    @Test func `after the move the new znode is found, and waits for the holder, which is older`() {
        var driver = waiting()
        _ = offer(&driver)
        #expect(driver.machine.receiveOwnGone(Self.old) == .list(own: Self.old, discarding: []))
        let names = [Self.holder, Self.new, foreign(.lock, 5)]
        #expect(driver.answer(.listed(.success(names))) == .inspect([Self.new]))
        let adopted = driver.answer(.inspected([(Self.new, .success(driver.stat(czxid: 150)))]))
        #expect(adopted == .list(own: Self.new, discarding: []))
        #expect(driver.answer(.listed(.success(names))) == .watch(Self.holder, own: Self.new))
        #expect(driver.answer(.watched(.success(driver.stat(czxid: 90)))) == nil)
        #expect(driver.answer(.predecessorEvent(.gone)) == .list(own: Self.new, discarding: []))
        let held = driver.answer(.listed(.success([Self.new, foreign(.lock, 5)])))
        #expect(held == .hold(driver.own(3, .lock, czxid: 150)))
    }

    @Test func `the holder does not wait for the one that stands beside it`() {
        var driver = ContenderDriver.listing(.exclusive(.lock), own: 3)
        let own = ContenderName.name(uuid: ContenderDriver.uuid, kind: .lock, number: 3)
        #expect(driver.answer(.listed(.success([own, Self.holder]))) == .watch(Self.holder, own: own))
        #expect(driver.answer(.watched(.success(driver.stat(czxid: 150)))) == .list(own: own, discarding: []))
        #expect(driver.answer(.listed(.success([own, Self.holder]))) == .hold(driver.own(3, .lock)))
    }

    @Test func `who gives up after an offer cleans up both znodes`() {
        var driver = waiting()
        _ = offer(&driver)
        #expect(driver.machine.giveUp(.cancelled) == .finish(.cancelled, cleanUp: .prefix(driver.machine.prefix)))
        #expect(driver.machine.needsPrefixCleanUp)
        #expect(offer(&driver) == nil)
    }

    @Test func `an offer to another name, or at another time, moves nobody`() {
        var driver = waiting()
        #expect(offer(&driver, to: foreign(.lock, 5)) == nil)
        driver.answer(.predecessorEvent(.gone))
        #expect(offer(&driver) == Self.move)
        driver.answer(.listed(.success([Self.old])))
        // In front already: nobody has to make way.
        #expect(offer(&driver) == nil)
        var fresh = ContenderDriver(.exclusive(.lock))
        #expect(offer(&fresh) == nil)
        fresh.begin()
        #expect(offer(&fresh) == nil)
    }
}
