import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

@Suite struct WindowStateMachineTests {
    typealias Machine = WindowStateMachine

    /// A window with the number 9, its machine, and the time.
    private struct Scene {
        static let lossOfConnection = ZooKeeperError(.connectionLoss)

        var machine: Machine
        var action: Machine.Action
        var now = MonotonicInstant(nanoseconds: 0) + .seconds(100)

        /// - Parameter processors: How many processors are in front of the window.
        init(_ drain: DrainPolicy = .wait, processors: Int32 = 0, isAfterCrash: Bool = false, writer: Bool = false) {
            let listing = (0..<processors).map(Self.processor) + (writer ? [Self.node(.write, 8)] : [])
            let own = Self.node(.write, 9)
            let facts = WindowRequest.Facts(
                id: "own", own: ContenderName(own)!, listing: listing + [own], members: [], requested: now,
                answered: now, isAfterCrash: isAfterCrash)
            var configuration = ExclusiveMode.Configuration()
            configuration.assumedSessionTimeout = .seconds(60)
            configuration.resumeDelay = .seconds(5)
            machine = Machine(facts, drain: drain, configuration: configuration, seed: 1)
            action = machine.start()
        }

        static func processor(_ number: Int32) -> String { node(.read, number) }
        static func node(_ kind: ContenderName.Kind, _ number: Int32) -> String {
            ContenderName.name(
                uuid: "0000000\(number)-0000-4000-8000-000000000000", kind: kind, number: number)
        }

        static func data(timeout: Duration) -> [UInt8] {
            ProcessorRecord(member: "processor-00000000", name: "processor", sessionTimeout: timeout).bytes
        }

        @discardableResult
        mutating func after(_ event: Machine.Event, in time: Duration = .zero) -> Machine.Action {
            now = now + time
            action = machine.handle(event, now: now)
            return action
        }

        /// Performs a wait for its whole time.
        @discardableResult
        mutating func wait() throws -> Machine.Action {
            switch action {
            case .pause(let end), .awaitEvicted(let end), .awaitEarlierWindows(let end), .awaitSighting(let end?):
                now = max(now, end)
            default: Issue.record("no wait: \(action)")
            }
            if case .awaitSighting = action { return after(.sightings([])) }
            return after(.done)
        }

        /// When the present wait ends, from now.
        var waitsFor: Duration? {
            switch action {
            case .pause(let end), .awaitEvicted(let end), .awaitEarlierWindows(let end), .awaitSighting(let end?):
                .nanoseconds(end.nanoseconds - now.nanoseconds)
            default: nil
            }
        }

        static func eviction(by id: String, of processor: String, for duration: Duration) -> WindowRecord {
            WindowRecord(
                id: id, token: FencingToken(rawValue: 1), participantID: id, reason: "",
                requestedAt: Timestamp(millisecondsSince1970: 0),
                drainDuration: .seconds(1) + duration, duration: .seconds(1), outcome: .evicting, slowestProcessor: nil,
                evicted: [processor])
        }
    }

    private let none = Machine.Event.earlierWindows(crashed: [], records: [])

    @Test func `a window in front of which nobody is opens with one wait, for its validity`() {
        var scene = Scene()
        #expect(scene.action == .look([]))
        #expect(scene.after(.done) == .findEarlierWindows(crashed: false, records: false))
        #expect(scene.after(none) == .awaitValidity)
        #expect(scene.after(.done) == .open)
    }

    @Test func `an event that does not belong to the action ends it, without a loop`() {
        var scene = Scene()
        scene.after(.done)
        guard case .fail = scene.after(.done) else {
            Issue.record("goes on with \(scene.action)")
            return
        }
    }

    @Test func `it waits until every processor has gone, without a limit if it has none`() {
        var scene = Scene(processors: 2)
        let (first, second) = (Scene.processor(0), Scene.processor(1))
        #expect(scene.action == .look([first, second]))
        #expect(scene.after(.done) == .awaitSighting(until: nil))
        let seen = scene.after(.sightings([.seen(first, data: []), .gone(second)]), in: .seconds(3600))
        #expect(seen == .awaitSighting(until: nil))
        #expect(scene.after(.sightings([.gone(first)])) == .findEarlierWindows(crashed: false, records: false))
        #expect(scene.machine.tracker.slowest == first)
    }

    // MARK: Many processors

    @Test func `many processors are listed while they pause together, and looked at when that takes long`() throws {
        var scene = Scene(processors: 8)
        let names = (0..<8).map(Scene.processor)
        #expect(scene.action == .list)
        scene.after(.done)
        #expect(scene.waitsFor == .milliseconds(100))
        scene.after(.sightings([.listed(Set(names: names[5...] + ["another", Scene.node(.write, 9)]))]))
        #expect(scene.machine.tracker.paused.count == 5)
        // Another listing does not start the time anew.
        scene.after(.sightings([.listed(Set(names: names[6...]))]), in: .milliseconds(40))
        #expect(scene.waitsFor == .milliseconds(60))
        #expect(try scene.wait() == .look([names[6], names[7]]))
        #expect(scene.after(.done) == .awaitSighting(until: nil))
        // An answer that was on its way.
        scene.after(.sightings([.listed(Set(names: [names[7]]))]))
        #expect(scene.machine.tracker.slowest == names[6])
        #expect(scene.after(.sightings([.gone(names[7])])) == .findEarlierWindows(crashed: false, records: false))
        #expect(scene.machine.tracker.paused.count == 8)
    }

    @Test func `many processors that pause at once cost one list after the window's own`() {
        var scene = Scene(processors: 8)
        scene.after(.done)
        #expect(scene.after(.sightings([.listed([])])) == .findEarlierWindows(crashed: false, records: false))
    }

    @Test func `processors that cannot be listed are looked at one by one`() {
        var scene = Scene(processors: 3)
        scene.after(.done)
        #expect(scene.after(.sightings([.notListed])) == .look((0..<3).map(Scene.processor)))
        scene.after(.done)
        // It was on its way when they were looked at.
        #expect(scene.after(.sightings([.notListed])) == .awaitSighting(until: nil))
    }

    @Test func `a window looks at many processors before it evicts or gives up`() throws {
        var evicting = Scene(.evict(after: .milliseconds(10)), processors: 3)
        evicting.after(.done)
        #expect(evicting.waitsFor == .milliseconds(10))
        #expect(try evicting.wait() == .look((0..<3).map(Scene.processor)))
        #expect(evicting.after(.done) == .awaitSighting(until: nil))
        for number in Int32(0)..<3 {
            evicting.after(.sightings([.seen(Scene.processor(number), data: Scene.data(timeout: .seconds(4)))]))
        }
        #expect(evicting.action == .recordEviction(.seconds(4)))

        var aborting = Scene(.abort(after: .seconds(1)), processors: 3)
        aborting.after(.done)
        #expect(try aborting.wait() == .look((0..<3).map(Scene.processor)))
        aborting.after(.done)
        #expect(try aborting.wait() == .abort((0..<3).map(Scene.processor)))
    }

    // MARK: Few processors

    @Test func `it gives up after its time, and names who has not paused`() throws {
        var scene = Scene(.abort(after: .seconds(10)), processors: 2)
        scene.after(.done)
        scene.after(.sightings([.gone(Scene.processor(1))]), in: .seconds(4))
        #expect(scene.waitsFor == .seconds(6))
        #expect(try scene.wait() == .abort([Scene.processor(0)]))
    }

    @Test func `processors are evicted once their session timeouts are known, and waited for as long`() throws {
        var scene = Scene(.evict(after: .seconds(10)), processors: 2)
        let (first, second) = (Scene.processor(0), Scene.processor(1))
        scene.after(.done)
        scene.after(.sightings([.seen(first, data: Scene.data(timeout: .seconds(4)))]))
        // Nothing is known about the second one.
        #expect(try scene.wait() == .awaitSighting(until: nil))
        scene.after(.sightings([.seen(second, data: Scene.data(timeout: .seconds(30)))]), in: .seconds(7))
        #expect(scene.action == .recordEviction(.seconds(30)))
        #expect(scene.after(.done) == .evict(first))
        #expect(scene.after(.done) == .evict(second))
        scene.after(.done, in: .seconds(2))
        #expect(scene.action == .awaitEvicted(until: scene.now + .seconds(30)))
        #expect(try scene.wait() == .findEarlierWindows(crashed: false, records: false))
        #expect(scene.machine.tracker.evicted == ["processor"])
        #expect(scene.machine.settled == ["own"])
    }

    @Test func `an operator's request evicts one processor, and the window waits for the others`() throws {
        var scene = Scene(processors: 2)
        let (first, second) = (Scene.processor(0), Scene.processor(1))
        scene.after(.done)
        // Its name and its session timeout are not known yet.
        #expect(scene.after(.sightings([.evictionRequested("processor")])) == .awaitSighting(until: nil))
        let seen = scene.after(.sightings([.seen(first, data: Scene.data(timeout: .seconds(4)))]))
        #expect(seen == .recordEviction(.seconds(4)))
        #expect(scene.after(.done) == .evict(first))
        scene.after(.done)
        #expect(scene.waitsFor == .seconds(4))
        #expect(try scene.wait() == .awaitSighting(until: scene.now))
        #expect(scene.after(.sightings([])) == .awaitSighting(until: nil))
        #expect(scene.after(.sightings([.gone(second)])) == .findEarlierWindows(crashed: false, records: false))
        #expect(scene.machine.tracker.evicted == ["processor"])
    }

    @Test func `an operator's request makes a window look at many processors, and one for none changes nothing`() {
        var scene = Scene(processors: 3)
        scene.after(.done)
        #expect(scene.after(.sightings([.evictionRequested("x")])) == .look((0..<3).map(Scene.processor)))
        scene.after(.done)
        let seen = (0..<3).map { StragglerWatches.Sighting.seen(Scene.processor($0), data: Scene.data(timeout: .zero)) }
        #expect(scene.after(.sightings(seen)) == .awaitSighting(until: nil))
    }

    @Test func `a processor that pauses while another is evicted in front of the limit is not given up`() throws {
        var scene = Scene(.abort(after: .seconds(3)), processors: 2)
        scene.after(.done)
        scene.after(.sightings([.seen(Scene.processor(0), data: Scene.data(timeout: .seconds(4)))]))
        scene.after(.sightings([.evictionRequested("processor")]))
        scene.after(.done)
        scene.after(.done)
        try scene.wait()
        let paused = scene.after(.sightings([.gone(Scene.processor(1))]))
        #expect(paused == .findEarlierWindows(crashed: false, records: false))
    }

    @Test func `a processor that may not be read is evicted for the assumed session timeout`() throws {
        var scene = Scene(.evict(after: .seconds(10)), processors: 1)
        scene.after(.done)
        scene.after(.sightings([.unreadable(Scene.processor(0))]))
        #expect(try scene.wait() == .recordEviction(.seconds(60)))
    }

    @Test func `a contender that cannot be watched is looked at again after pauses that grow`() throws {
        var scene = Scene(processors: 2)
        let (first, second) = (Scene.processor(0), Scene.processor(1))
        scene.after(.done)
        var pauses: [Duration] = []
        for _ in 0..<12 {
            scene.after(.sightings([.failed(first, Scene.lossOfConnection)]))
            let pause = try #require(scene.waitsFor)
            // The second one joins the round that is under way.
            scene.after(.sightings([.failed(second, ZooKeeperError(.noAuth))]), in: pause / 2)
            #expect(try scene.wait() == .look([first, second]))
            #expect(scene.after(.done) == .awaitSighting(until: nil))
            pauses.append(pause)
        }
        #expect(pauses[0] < .milliseconds(51))
        #expect(try #require(pauses.last) > .seconds(2))
        scene.after(.sightings([.seen(first, data: [])]))
        scene.after(.sightings([.failed(second, Scene.lossOfConnection)]))
        #expect(try #require(scene.waitsFor) < .milliseconds(51))
    }

    @Test func `a request that a lost connection failed is repeated after a pause, others fail the window`() throws {
        var scene = Scene(.evict(after: .zero), processors: 1)
        scene.after(.done)
        scene.after(.sightings([.seen(Scene.processor(0), data: Scene.data(timeout: .seconds(4)))]))
        let recording = scene.action
        #expect(recording == .recordEviction(.seconds(4)))
        for outcome in [Machine.Event.failed(Scene.lossOfConnection), .conflict, .failed(ZooKeeperError(.throttled))] {
            scene.after(outcome)
            #expect(scene.waitsFor.map { $0 > .zero && $0 <= .milliseconds(40) } == true)
            #expect(try scene.wait() == recording)
        }
        #expect(scene.after(.done) == .evict(Scene.processor(0)))
        #expect(scene.after(.failed(ZooKeeperError(.noAuth))) == .fail(ZooKeeperError(.noAuth)))
    }

    @Test func `after a crash it waits for the rest of the resume delay, then records it`() throws {
        var scene = Scene(isAfterCrash: true)
        #expect(scene.after(.done, in: .seconds(2)) == .findEarlierWindows(crashed: true, records: false))
        scene.after(.earlierWindows(crashed: ["crashed"], records: []))
        #expect(scene.waitsFor == .seconds(3))
        #expect(try scene.wait() == .recordCrashes)
        #expect(scene.after(.done) == .awaitValidity)
    }

    @Test func `a crash that is longer ago than the resume delay is recorded at once`() {
        var scene = Scene(isAfterCrash: true)
        scene.after(.done, in: .seconds(6))
        #expect(scene.after(.earlierWindows(crashed: ["crashed"], records: [])) == .recordCrashes)
    }

    @Test func `its time also bounds the wait for earlier windows, and nothing is recorded then`() throws {
        var scene = Scene(.abort(after: .seconds(2)), isAfterCrash: true)
        scene.after(.done)
        scene.after(
            .earlierWindows(crashed: ["crashed"], records: [Scene.eviction(by: "x", of: "p", for: .seconds(1))]))
        #expect(scene.waitsFor == .seconds(2))
        #expect(try scene.wait() == .abort(["crashed", "p"]))
    }

    @Test func `the evictions of earlier windows are waited for, and settled`() throws {
        var scene = Scene(writer: true)
        scene.after(.done)
        #expect(
            scene.after(.sightings([.gone(Scene.node(.write, 8))]))
                == .findEarlierWindows(crashed: false, records: true))
        scene.after(
            .earlierWindows(
                crashed: [],
                records: [
                    Scene.eviction(by: "x", of: "p", for: .seconds(7)),
                    Scene.eviction(by: "y", of: "q", for: .seconds(3)),
                ]))
        #expect(scene.waitsFor == .seconds(7))
        #expect(try scene.wait() == .awaitValidity)
        #expect(scene.machine.settled == ["own", "x", "y"])
        #expect(scene.machine.tracker.slowest == nil)
    }

    /// Random outcomes of every action, in thousands of windows.
    @Test(arguments: 0..<40)
    func `a window never opens before everybody has paused or must have stopped`(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let drain = [DrainPolicy.wait, .abort(after: .seconds(20)), .evict(after: .seconds(2))].randomElement(
                using: &random)!
            var scene = Scene(
                drain, processors: .random(in: 0..<6, using: &random), isAfterCrash: .random(using: &random))
            var inside = Set(scene.machine.tracker.waiting.keys.strings)
            var (recorded, evicted, mustWaitUntil) = (false, Set<String>(), scene.now)
            var (steps, hasCrash) = (0, false)
            let began = scene.now
            while scene.action != .open {
                steps += 1
                #expect(steps < 10_000)
                if steps >= 10_000 { break }
                if Int.random(in: 0..<5, using: &random) == 0, scene.waitsFor == nil {
                    scene.after([.failed(Scene.lossOfConnection), .conflict].randomElement(using: &random)!)
                    continue
                }
                switch scene.action {
                case .look, .list: scene.after(.done)
                case .awaitSighting:
                    let node = inside.sorted().randomElement(using: &random)
                    let sightings: [StragglerWatches.Sighting] =
                        switch (Int.random(in: 0..<6, using: &random), node) {
                        case (0, let node?): [.seen(node, data: Scene.data(timeout: .seconds(9)))]
                        case (1, let node?): [.failed(node, Scene.lossOfConnection)]
                        case (3, _): [.notListed]
                        case (4, _): [.listed(Set(names: inside))]
                        case (5, _): [.evictionRequested("processor")]
                        case (2, let node?) where drain.evicts == false || Bool.random(using: &random): [.gone(node)]
                        default: []
                        }
                    if case .gone(let node)? = sightings.first { inside.remove(node) }
                    scene.after(.sightings(sightings), in: .seconds(.random(in: 0..<3, using: &random)))
                case .recordEviction(let duration):
                    #expect(duration >= .seconds(9))
                    recorded = true
                    scene.after(.done)
                case .evict(let node):
                    #expect(recorded)
                    evicted.insert(node)
                    scene.after(.done)
                    mustWaitUntil = scene.now + .seconds(9)
                case .findEarlierWindows(let crashed, _):
                    let owners = crashed ? ["crashed"] : []
                    hasCrash = crashed
                    scene.after(.earlierWindows(crashed: owners, records: []))
                case .recordCrashes, .awaitValidity: scene.after(.done)
                case .awaitEvicted:
                    recorded = false
                    try scene.wait()
                case .pause, .awaitEarlierWindows: try scene.wait()
                case .abort, .fail: break
                case .open: break
                }
                if case .abort = scene.action { break }
            }
            guard scene.action == .open else { continue }
            if hasCrash { #expect(scene.now >= began + .seconds(5)) }
            #expect(inside.isSubset(of: evicted))
            #expect(evicted.isEmpty || scene.now >= mustWaitUntil)
        }
    }
}
