import Testing
import ZooKeeper

@testable import ZooKeeperRecipes

@Suite struct SubtreeStateMachineTests {
    private func live(children: Int = 3) -> SubtreeModel {
        let model = SubtreeModel()
        model.create("/r")
        for number in 0..<children { model.create("/r/\(number)", [UInt8(number % 250)]) }
        model.connect(number: 1)
        model.settle()
        return model
    }

    @Test func `children are listed once and each is read once, all watched`() {
        let model = live()
        #expect(model.takeAsked() == ["children+ /r", "data+ /r/0", "data+ /r/1", "data+ /r/2"])
        #expect(model.shown() == model.truth())
        #expect(model.isLive)
        #expect(model.watchCount == 4)
        #expect(model.published.map(\.path) == ["/r/0", "/r/1", "/r/2"])
        #expect(!model.published.contains { !$0.isAddition })
    }

    @Test func `nothing is shown before everything has been read`() {
        let model = SubtreeModel()
        model.create("/r")
        model.create("/r/a")
        model.create("/r/b")
        model.connect(number: 1)
        model.step()
        model.step()
        #expect(model.machine.content.isUnknown)
        model.settle()
        #expect(model.shown().count == 2)
    }

    @Test func `a write reads that child alone`() {
        let model = live()
        _ = model.takeAsked()
        model.write("/r/1", [9])
        model.settle()
        #expect(model.takeAsked() == ["data+ /r/1"])
        #expect(model.shown() == model.truth())
        #expect(model.published.last?.before?.data == [1])
        #expect(model.published.last?.after?.data == [9])
        #expect(model.isLive)
    }

    @Test func `a child that comes or goes lists the znode again and reads the new one alone`() {
        let model = live()
        _ = model.takeAsked()
        model.create("/r/new", [7])
        model.settle()
        #expect(model.takeAsked() == ["children+ /r", "data+ /r/new"])
        model.delete("/r/0")
        model.settle()
        #expect(model.takeAsked() == ["children+ /r"])
        #expect(model.shown() == model.truth())
        #expect(model.published.last?.isRemoval == true)
        #expect(model.watchCount == 4)
    }

    @Test func `H52 a child that was deleted and created again with the same data shows as another one`() {
        let model = live()
        model.delete("/r/1")
        model.create("/r/1", [1])
        model.settle()
        let last = model.published.suffix(2)
        #expect(last.map(\.path) == ["/r/1", "/r/1"])
        #expect(last.first?.before?.stat?.czxid != last.last?.after?.stat?.czxid)
        #expect(model.isLive)
    }

    @Test func `the same within a lost connection, and nothing else is read but the root`() {
        let model = live()
        _ = model.takeAsked()
        model.disconnect()
        #expect(!model.isLive)
        model.delete("/r/1")
        model.create("/r/1", [1])
        model.connect(number: 2)
        model.settle()
        #expect(Set(model.takeAsked()) == ["children /r", "children+ /r", "data+ /r/1"])
        #expect(model.shown() == model.truth())
        #expect(model.isLive)
        #expect(model.watchCount == 4)
    }

    @Test func `what is newer than its parent's listing stays when the parent was created again`() {
        let model = SubtreeModel(depth: .max, showsRoot: true)
        for path in ["/r", "/r/a", "/r/a/b", "/r/a/b/c"] { model.create(path) }
        model.connect(number: 1)
        model.settle()
        let published = model.published.count
        model.disconnect(losingWatchesAs: .sessionEnded)
        for path in ["/r/a/b/c", "/r/a/b", "/r/a", "/r"] { model.delete(path) }
        for path in ["/r", "/r/a", "/r/a/b", "/r/a/b/c"] { model.create(path) }
        model.connect(epoch: 2, number: 2)
        model.settle()
        #expect(model.shown() == model.truth())
        #expect(model.isLive)
        var newest: [String: ZXID] = [:]
        for change in model.published.dropFirst(published) {
            if let czxid = change.after?.stat?.czxid { newest[change.path] = czxid }
            // Nothing that was shown in its new life was taken back.
            let isTakenBack = change.isRemoval && newest[change.path] != nil
            #expect(!isTakenBack, "\(change)")
        }
    }

    @Test func `after a cut in which nothing happened one listing is enough`() {
        let model = live(children: 100)
        _ = model.takeAsked()
        model.disconnect()
        model.connect(number: 2)
        #expect(!model.isLive)
        model.settle()
        #expect(model.takeAsked() == ["children /r"])
        #expect(model.isLive)
    }

    @Test func `a new session catches up first and reads everything again`() {
        let model = live()
        _ = model.takeAsked()
        model.disconnect(losingWatchesAs: .sessionEnded)
        model.write("/r/2", [8])
        model.connect(epoch: 2, number: 2)
        model.settle()
        #expect(model.takeAsked() == ["sync", "children+ /r", "data+ /r/0", "data+ /r/1", "data+ /r/2"])
        #expect(model.shown() == model.truth())
        #expect(model.watchCount == 4)
    }

    @Test func `other servers under the session: caught up first, with all watches set again`() {
        let model = live()
        _ = model.takeAsked()
        model.disconnect(losingWatchesAs: .interrupted)
        model.connect(number: 2)
        model.settle()
        #expect(model.takeAsked().first == "sync")
        #expect(model.watchCount == 4)
        #expect(model.isLive)
    }

    @Test func `a root that is missing is watched for, and read when it comes`() {
        let model = SubtreeModel()
        model.connect(number: 1)
        model.settle()
        #expect(model.machine.content.isAbsent)
        #expect(model.isLive)
        #expect(model.takeAsked() == ["children+ /r", "existence+ /r"])
        model.create("/r")
        model.create("/r/a")
        model.settle()
        #expect(model.shown() == model.truth())
        #expect(model.isLive)
        model.delete("/r/a")
        model.delete("/r")
        model.settle()
        #expect(model.machine.content.isAbsent)
        #expect(model.published.last?.isRemoval == true)
        #expect(model.isLive)
        #expect(model.watchCount == 1)
    }

    @Test func `reads are in a bounded flight`() {
        let model = SubtreeModel(maximumConcurrentReads: 7)
        model.create("/r")
        for number in 0..<100 { model.create("/r/\(number)") }
        model.connect(number: 1)
        model.settle()
        #expect(model.mostInFlight == 7)
        #expect(model.shown().count == 100)
    }

    @Test func `beyond the budget children are read without a watch, and again at intervals`() {
        // Each path takes 1 + 4 + 4 bytes or one more.
        let model = SubtreeModel(watchBudget: 40)
        model.create("/r")
        for number in 0..<9 { model.create("/r/\(number)") }
        model.connect(number: 1)
        model.settle()
        #expect(model.shown().count == 9)
        #expect(model.isLive)
        guard case .present(let snapshot) = model.machine.content else { return }
        let unwatched = snapshot.filter { !$0.isWatched }.count
        #expect(unwatched > 0 && unwatched < 9)
        #expect(model.watchCount == 1 + 9 - unwatched)
        _ = model.takeAsked()
        model.write("/r/8", [5])
        model.settle()
        #expect(model.takeAsked() == [])
        model.advance(.seconds(31))
        model.settle()
        #expect(model.takeAsked().count == unwatched)
        #expect(model.shown() == model.truth())
    }

    @Test func `what the client has no room to watch is read at intervals, and watched once there is room`() {
        let model = SubtreeModel()
        model.watchRoom = 5
        model.create("/r")
        for number in 0..<9 { model.create("/r/\(number)") }
        model.connect(number: 1)
        model.settle()
        #expect(model.shown() == model.truth())
        #expect(model.isLive)
        guard case .present(let snapshot) = model.machine.content else { return }
        #expect(snapshot.filter { $0.isWatched }.count == 4)
        _ = model.takeAsked()
        model.write("/r/8", [5])
        model.advance(.seconds(31))
        model.settle()
        #expect(model.shown() == model.truth())
        #expect(model.takeAsked().filter { !$0.contains("+") }.count == 5)
        model.watchRoom = 100
        model.advance(.seconds(31))
        model.settle()
        #expect(model.watchCount == 10)
        guard case .present(let watched) = model.machine.content else { return }
        #expect(watched.filter { !$0.isWatched }.isEmpty)
        _ = model.takeAsked()
        model.advance(.seconds(31))
        model.settle()
        #expect(model.takeAsked() == [])
    }

    @Test func `a root that finds no room for its watch says so, and is tried with growing pauses`() {
        let model = SubtreeModel()
        model.watchRoom = 0
        model.create("/r")
        model.create("/r/a")
        model.connect(number: 1)
        model.settle()
        guard case .unreadable(let error) = model.machine.content else {
            Issue.record("the refusal is not shown")
            return
        }
        #expect(error.isWatchRefusal)
        model.watchRoom = 100
        model.advance(.seconds(1))
        model.settle()
        #expect(model.shown() == model.truth())
    }

    @Test func `H54 a child that may not be read shows its error and is asked again with growing pauses`() {
        let model = SubtreeModel()
        model.create("/r")
        model.create("/r/a")
        model.create("/r/secret")
        model.unreadable = ["/r/secret"]
        model.connect(number: 1)
        model.settle()
        #expect(model.isLive)
        guard case .present(let snapshot) = model.machine.content else {
            Issue.record("nothing is shown")
            return
        }
        #expect(snapshot["secret"]?.error?.code == .noAuth)
        #expect(snapshot["a"]?.error == nil)
        _ = model.takeAsked()
        for _ in 0..<10 {
            guard let until = model.machine.wakeUpAt else { break }
            model.advance(until - model.now)
            model.settle()
        }
        #expect(model.takeAsked() == Array(repeating: "data+ /r/secret", count: 10))
        #expect(model.now > MonotonicInstant(nanoseconds: 3_000_000_000))
        model.unreadable = []
        model.advance(.seconds(30))
        model.settle()
        #expect(model.shown() == model.truth())
    }

    @Test func `names alone cost one request a change`() {
        let model = SubtreeModel(readsData: false)
        model.create("/r")
        for number in 0..<50 { model.create("/r/\(number)") }
        model.connect(number: 1)
        model.settle()
        #expect(model.takeAsked() == ["children+ /r"])
        model.create("/r/x")
        model.settle()
        #expect(model.takeAsked() == ["children+ /r"])
        #expect(model.shown().count == 51)
        #expect(model.watchCount == 1)
    }

    @Test func `what is not included is not read`() {
        let model = SubtreeModel(isIncluded: { !$0.hasSuffix(".tmp") })
        model.create("/r")
        model.create("/r/a")
        model.create("/r/b.tmp")
        model.connect(number: 1)
        model.settle()
        #expect(model.takeAsked() == ["children+ /r", "data+ /r/a"])
        #expect(model.shown().count == 1)
    }

    @Test func `a tree is read to its leaves; ephemeral znodes are not listed`() {
        let model = SubtreeModel(depth: .max, showsRoot: true)
        model.create("/r")
        model.create("/r/a")
        model.create("/r/a/b")
        model.create("/r/a/b/c", isEphemeral: true)
        model.connect(number: 1)
        model.settle()
        #expect(model.shown() == model.truth())
        #expect(!model.takeAsked().contains("children+ /r/a/b/c"))
        #expect(model.watchCount == 7)
        model.create("/r/a/b/d")
        model.create("/r/a/b/d/e", [3])
        model.settle()
        #expect(model.shown() == model.truth())
        for path in ["/r/a/b/d/e", "/r/a/b/d", "/r/a/b/c", "/r/a/b", "/r/a"] { model.delete(path) }
        model.settle()
        #expect(model.shown() == model.truth())
        #expect(model.watchCount == 2)
        #expect(model.isLive)
    }

    @Test func `a tree is followed no deeper than its depth`() {
        let model = SubtreeModel(depth: 1, showsRoot: true)
        for path in ["/r", "/r/a", "/r/a/b"] { model.create(path) }
        model.connect(number: 1)
        model.settle()
        #expect(Set(model.shown().keys) == ["/r", "/r/a"])
        #expect(!model.takeAsked().contains("children+ /r/a"))
    }

    /// Whatever happens in between, at rest the tree is known, live, and watched once a part.
    @Test(arguments: 0..<300 as Range<UInt64>)
    func `at rest the whole tree is known`(seed: UInt64) {
        var chance = SeededGenerator(seed: seed)
        let isTree = seed.isMultiple(of: 2)
        let model = SubtreeModel(
            depth: isTree ? .max : 1, showsRoot: isTree, watchBudget: seed.isMultiple(of: 5) ? 60 : 1_000_000,
            maximumConcurrentReads: Int.random(in: 1...8, using: &chance))
        let names = ["/r", "/r/a", "/r/b", "/r/c"] + (isTree ? ["/r/a/x", "/r/a/y", "/r/a/x/z", "/r/b/x"] : [])
        var number = 0
        var epoch = 1
        for step in 0..<200 {
            let path = names.randomElement(using: &chance) ?? "/r"
            switch Int.random(in: 0..<20, using: &chance) {
            case 0..<5 where !model.stands(path) && (path == "/r" || model.stands(model.parentPath(of: path))):
                model.create(path, [UInt8(truncatingIfNeeded: step)])
            case 5..<8 where model.stands(path): model.write(path, [UInt8(truncatingIfNeeded: step)])
            case 8..<11 where model.stands(path) && model.children(of: path).isEmpty: model.delete(path)
            case 11 where model.connection != nil:
                model.disconnect(
                    losingWatchesAs: [nil, .interrupted, .sessionEnded].randomElement(using: &chance) ?? nil)
                if model.watchCount == 0 { epoch += 1 }
            case 12, 13:
                guard model.connection == nil else { break }
                number += 1
                model.connect(epoch: epoch, number: number)
            case 14: model.advance(.milliseconds(Int.random(in: 0...40_000, using: &chance)))
            default: model.step()
            }
        }
        if model.connection == nil { model.connect(epoch: epoch, number: number + 1) }
        model.settle()
        for _ in 0..<3 {
            model.advance(.seconds(31))
            model.settle()
        }
        #expect(model.shown() == model.truth())
        #expect(model.isLive)
        #expect(model.machine.content.isAbsent == !model.stands("/r"))
        #expect(model.machine.watches.count == model.watchCount)
        var replayed: [String: [UInt8]] = [:]
        for change in model.published { replayed[change.path] = change.after.map { $0.data ?? [] } }
        #expect(replayed == model.truth())
    }
}

extension CacheEntry.Content {
    fileprivate var isUnknown: Bool { if case .unknown = self { true } else { false } }
    fileprivate var isAbsent: Bool { if case .absent = self { true } else { false } }
}
