import Testing
import ZooKeeper
import ZooKeeperRecipes

@Suite struct ContenderStateMachineTests {
    private let base = ContenderName.base(uuid: ContenderDriver.uuid, kind: .write)
    private let prefix = ContenderName.prefix(uuid: ContenderDriver.uuid)

    // MARK: Joining

    @Test func `a free queue is joined and granted in one round trip`() {
        var driver = ContenderDriver()
        #expect(driver.machine.receive(.start) == .awaitSession(isRetry: false))
        #expect(driver.begin() == .join(base: base, discarding: []))
        let own = driver.own(3)
        #expect(driver.answer(.joined(.success(own), .success([own.name.string]))) == .hold(own))
        #expect(driver.answer(.held(isValid: true)) == .finish(.granted(own), cleanUp: nil))
    }

    @Test func `a missing directory is created, a bounded number of times`() {
        var driver = ContenderDriver()
        driver.begin()
        let missing = ZooKeeperError(.noNode)
        for _ in 0..<10 {
            #expect(driver.answer(.joined(.failure(missing), .failure(missing))) == .createParents)
            #expect(driver.answer(.parentsCreated(.success(()))) == .join(base: base, discarding: []))
        }
        #expect(driver.answer(.joined(.failure(missing), .failure(missing))) == .finish(.failed(missing), cleanUp: nil))
    }

    @Test func `without rights the attempt fails at once`() {
        let refused = ZooKeeperError(.noAuth)
        var driver = ContenderDriver()
        driver.begin()
        #expect(driver.answer(.joined(.failure(refused), .success([]))) == .finish(.failed(refused), cleanUp: nil))
        var creating = ContenderDriver()
        creating.begin()
        creating.answer(.joined(.failure(ZooKeeperError(.noNode)), .success([])))
        #expect(creating.answer(.parentsCreated(.failure(refused))) == .finish(.failed(refused), cleanUp: nil))
    }

    @Test func `a joined contender that may not list the queue takes its znode back`() {
        var driver = ContenderDriver()
        driver.begin()
        let refused = ZooKeeperError(.noAuth)
        let own = driver.own(3)
        #expect(
            driver.answer(.joined(.success(own), .failure(refused)))
                == .finish(.failed(refused), cleanUp: .node(own.name.string)))
    }

    @Test func `H01 after a lost answer the own znode is found and adopted`() {
        var driver = ContenderDriver()
        driver.begin()
        let lost = ContenderDriver.loss
        #expect(driver.answer(.joined(.failure(lost), .failure(lost))) == .awaitSession(isRetry: true))
        #expect(driver.begin() == .find)
        let own = driver.own(4, czxid: 40)
        #expect(driver.answer(.found(.success([own.name.string]))) == .inspect([own.name.string]))
        #expect(
            driver.answer(.inspected([(own.name.string, .success(driver.stat(czxid: 40)))]))
                == .list(own: own.name.string, discarding: []))
        #expect(driver.answer(.listed(.success([own.name.string]))) == .hold(own))
    }

    @Test func `H01 after a lost answer without a znode the contender joins again`() {
        var driver = ContenderDriver()
        driver.begin()
        driver.answer(.joined(.failure(ContenderDriver.loss), .failure(ContenderDriver.loss)))
        driver.begin()
        #expect(driver.answer(.found(.success([foreign(.write, 1)]))) == .join(base: base, discarding: []))
        // The first create may still come to light: all with the prefix go in the end.
        #expect(driver.machine.giveUp(.cancelled) == .finish(.cancelled, cleanUp: .prefix(prefix)))
    }

    @Test func `H02 of two own znodes the lower one is kept, and none is waited for`() {
        var driver = ContenderDriver.listing(.write, own: 6)
        let names = [driver.own(5), driver.own(6)].map(\.name.string)
        #expect(driver.answer(.listed(.success(names))) == .inspect(names))
        let stats = [(name: names[0], stat: Result<ZNodeStat, ZooKeeperError>.success(driver.stat(czxid: 105)))]
        #expect(
            driver.answer(.inspected(stats + [(names[1], .success(driver.stat(czxid: 106)))]))
                == .list(own: names[0], discarding: [names[1]]))
        // Still listed, because the deletion was lost: it is behind, and goes in the end.
        #expect(driver.answer(.listed(.success(names))) == .hold(driver.own(5)))
        #expect(driver.machine.needsPrefixCleanUp)
    }

    @Test func `H04 an own znode of another session is deleted, not adopted`() {
        var driver = ContenderDriver()
        driver.begin()
        driver.answer(.joined(.failure(ContenderDriver.loss), .failure(ContenderDriver.loss)))
        driver.begin()
        let old = driver.own(2).name.string
        driver.answer(.found(.success([old])))
        let stat = driver.stat(czxid: 1, owner: SessionID(rawValue: 6))
        #expect(driver.answer(.inspected([(old, .success(stat))])) == .join(base: base, discarding: [old]))
    }

    @Test func `H14 near the end of the numbers joining is refused, and the znode taken back`() {
        var driver = ContenderDriver()
        driver.begin()
        let own = driver.own(.max)
        #expect(
            driver.answer(.joined(.success(own), .success([own.name.string])))
                == .finish(.numbersExhausted, cleanUp: .node(own.name.string)))
    }

    // MARK: Waiting

    @Test(arguments: [
        (ContenderPolicy.write, 3), (.exclusive(.lock), 3), (.read, 2),
    ])
    func `H21 the nearest conflicting predecessor is watched, and no later one`(_ policy: ContenderPolicy, index: Int) {
        var driver = ContenderDriver.listing(policy, own: 10)
        let own = driver.own(10, policy.kind).name.string
        let queue = [foreign(.read, 1), foreign(.write, 2), foreign(.write, 4), foreign(.read, 7)]
        let later = [foreign(.write, 11), foreign(.read, 12)]
        #expect(driver.answer(.listed(.success(later + [own] + queue.reversed()))) == .watch(queue[index], own: own))
    }

    @Test func `H22 a reader does not wait for later writers, nor for other readers`() {
        var driver = ContenderDriver.listing(.read, own: 10)
        let own = driver.own(10, .read)
        let names = [foreign(.read, 1), own.name.string, foreign(.write, 11)]
        #expect(driver.answer(.listed(.success(names))) == .hold(own))
    }

    @Test func `H16 foreign children are not waited for`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10)
        #expect(driver.answer(.listed(.success(["config", "0-config", "lock-7", own.name.string]))) == .hold(own))
    }

    @Test func `H17 a write and a read znode of one number are both waited for`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10).name.string
        let pair = [foreign(.read, 3), foreign(.write, 3)]
        #expect(driver.answer(.listed(.success(pair + [own]))) == .watch(pair[1], own: own))
        driver.answer(.watched(.success(driver.stat(czxid: 3))))
        #expect(driver.answer(.predecessorEvent(.gone)) == .list(own: own, discarding: []))
        #expect(driver.answer(.listed(.success([pair[0], own]))) == .watch(pair[0], own: own))
    }

    @Test func `H14 of two znodes with one number the one created first is in front`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10, czxid: 110)
        let tied = foreign(.write, 10)
        let names = [tied, own.name.string]
        #expect(driver.answer(.listed(.success(names))) == .watch(tied, own: own.name.string))
        #expect(
            driver.answer(.watched(.success(driver.stat(czxid: 111)))) == .list(own: own.name.string, discarding: []))
        #expect(driver.answer(.listed(.success(names))) == .hold(own))
    }

    @Test func `H24 a predecessor that vanished before its watch makes the queue be listed again, nothing created`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10)
        driver.answer(.listed(.success([foreign(.write, 9), own.name.string])))
        #expect(
            driver.answer(.watched(.failure(ZooKeeperError(.noNode)))) == .list(own: own.name.string, discarding: []))
        #expect(driver.answer(.listed(.success([own.name.string]))) == .hold(own))
    }

    @Test func `a predecessor that may not be read is waited for by watching the directory`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10).name.string
        let refused = ZooKeeperError(.noAuth)
        driver.answer(.listed(.success([foreign(.write, 9), own])))
        #expect(driver.answer(.watched(.failure(refused))) == .watchDirectory(foreign(.write, 9)))
        #expect(driver.answer(.watched(.failure(refused))) == .finish(.failed(refused), cleanUp: .node(own)))
    }

    @Test func `a predecessor that is written to is watched again`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10).name.string
        driver.answer(.listed(.success([foreign(.write, 9), own])))
        driver.answer(.watched(.success(driver.stat(czxid: 9))))
        #expect(driver.answer(.predecessorEvent(.changed)) == .watch(foreign(.write, 9), own: own))
    }

    @Test func `H35 a lost connection keeps the znode and the place`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10).name.string
        driver.answer(.listed(.success([foreign(.write, 9), own])))
        #expect(driver.answer(.watched(.failure(ContenderDriver.loss))) == .awaitSession(isRetry: true))
        #expect(driver.begin() == .watch(foreign(.write, 9), own: own))
    }

    @Test func `H23 an own znode that is gone is created anew, at the end of the queue`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        #expect(driver.answer(.listed(.success([foreign(.write, 9)]))) == .join(base: base, discarding: []))
        var empty = ContenderDriver.listing(.write, own: 10)
        #expect(empty.answer(.listed(.success([]))) == .join(base: base, discarding: []))
        var missing = ContenderDriver.listing(.write, own: 10)
        #expect(missing.answer(.listed(.failure(ZooKeeperError(.noNode)))) == .createParents)
    }

    @Test func `an own znode that goes while waiting is noticed, that of an earlier attempt is not`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10).name.string
        driver.answer(.listed(.success([foreign(.write, 9), own])))
        driver.answer(.watched(.success(driver.stat(czxid: 9))))
        #expect(driver.machine.receiveOwnGone(driver.own(3).name.string) == nil)
        #expect(driver.machine.receiveOwnGone(own) == .list(own: own, discarding: []))
        #expect(driver.answer(.listed(.success([foreign(.write, 9)]))) == .join(base: base, discarding: []))
    }

    // MARK: Sessions

    @Test func `H05 with a new session the old znode counts for nothing`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10).name.string
        driver.answer(.listed(.success([foreign(.write, 9), own])))
        driver.answer(.watched(.success(driver.stat(czxid: 9))))
        #expect(driver.answer(.predecessorEvent(.sessionEnded)) == .awaitSession(isRetry: false))
        driver.uuid = "33333333-3333-4333-8333-333333333333"
        let newBase = ContenderName.base(uuid: driver.uuid, kind: .write)
        #expect(driver.begin(epoch: 2) == .join(base: newBase, discarding: []))
        let new = driver.own(12)
        // The old znode is still listed, in front, and is waited for like anybody's.
        #expect(
            driver.answer(.joined(.success(new), .success([own, new.name.string])))
                == .watch(own, own: new.name.string))
    }

    @Test func `H06 no grant without a session that is proved to be alive`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10)
        driver.answer(.listed(.success([own.name.string])))
        #expect(driver.answer(.held(isValid: false)) == .prove(own))
        #expect(driver.answer(.proved(.success(()))) == .hold(own))
        #expect(driver.answer(.held(isValid: false)) == .pause)
        #expect(driver.answer(.paused) == .prove(own))
        #expect(driver.answer(.proved(.failure(ContenderDriver.loss))) == .awaitSession(isRetry: true))
        #expect(driver.begin() == .prove(own))
        #expect(driver.answer(.proved(.success(()))) == .hold(own))
        #expect(driver.answer(.held(isValid: true)) == .finish(.granted(own), cleanUp: nil))
    }

    @Test func `an own znode that is gone before the grant is not granted by`() {
        var driver = ContenderDriver.listing(.write, own: 10)
        let own = driver.own(10)
        driver.answer(.listed(.success([own.name.string])))
        driver.answer(.held(isValid: false))
        #expect(
            driver.answer(.proved(.failure(ZooKeeperError(.noNode)))) == .list(own: own.name.string, discarding: []))
    }

    @Test func `when the client has stopped the attempt fails`() {
        var driver = ContenderDriver()
        _ = driver.machine.receive(.start)
        let stopped = ZooKeeperError(.clientStopped)
        #expect(driver.answer(.noSession(stopped)) == .finish(.failed(stopped), cleanUp: nil))
    }

    // MARK: Trying

    @Test func `H26 a try that finds somebody creates nothing`() {
        var driver = ContenderDriver(.write, waits: false)
        #expect(driver.begin() == .look)
        #expect(driver.answer(.looked(.success([foreign(.read, 1)]))) == .finish(.notAvailable, cleanUp: nil))
        var reader = ContenderDriver(.read, waits: false)
        reader.begin()
        #expect(
            reader.answer(.looked(.success([foreign(.read, 1)])))
                == .join(base: ContenderName.base(uuid: ContenderDriver.uuid, kind: .read), discarding: []))
    }

    @Test func `a try that is overtaken takes its znode back`() {
        var driver = ContenderDriver.listing(.write, own: 10, waits: false)
        let own = driver.own(10).name.string
        #expect(
            driver.answer(.listed(.success([foreign(.write, 9), own]))) == .finish(.notAvailable, cleanUp: .node(own)))
    }

    @Test func `a try on a directory that is missing joins`() {
        var driver = ContenderDriver(.write, waits: false)
        driver.begin()
        #expect(driver.answer(.looked(.failure(ZooKeeperError(.noNode)))) == .join(base: base, discarding: []))
    }
}
