import Testing

@testable import ZooKeeper
@testable import ZooKeeperRecipes

/// Who holds a lock by which znodes, and what is told of it, without an ensemble.
@Suite struct HeldLockTests {
    private struct Scene {
        let clock = StillClock()
        let client: ZooKeeperClient
        let session: SessionHandle

        init() throws {
            client = try .withoutServer(clock: clock)
            session = .handMade(of: client)
            prove(until: 4)
        }

        func prove(until seconds: Int) {
            session.extend(to: MonotonicInstant(nanoseconds: 0) + .seconds(seconds), timeout: .seconds(4))
            session.validityChanged()
        }

        func place(_ kind: ContenderName.Kind = .write, path: String = "/lock") throws -> HeldLock {
            let name = try #require(
                ContenderName(
                    ContenderName.base(uuid: ContenderName.makeUUID(using: client.randomness), kind: kind)
                        + "0000000007"))
            let node = session.holdWatched("\(path)/\(name)", czxid: 7, of: client)
            return HeldLock(
                Holding([node]), name: name, cleanUp: [.node(path: node.path)], key: HeldLock.Key(client, path),
                client: client,
                data: [])
        }
    }

    @Test func `the znode is given up by the last user, and nobody enters afterwards`() throws {
        let place = try Scene().place()
        #expect(place.enter())
        #expect(place.beginToLeave() == nil)
        #expect(place.isInUse && place.isValid)
        let answered = place.beginToLeave()
        #expect(answered != nil && answered?.value == nil)
        #expect(!place.isInUse && !place.isValid && !place.enter())
        #expect(place.report.current(validUntil: place.validUntil) == .releasing)
        #expect(place.report.outcome == .stillTrying)
    }

    @Test func `what is deleted by somebody is lost for all users, and told with its reason`() async throws {
        let place = try Scene().place()
        let states = place.report.follow { [weak place] in place?.validUntil }
        #expect(place.enter())
        place.holding.nodes[0].lose(.znodeDeleted)
        #expect(!place.isValid && !place.enter())
        #expect(place.loss.value == .znodeDeleted && place.lossReason == .znodeDeleted)
        #expect(place.lostError == RecipeError(.lost, in: .lock, path: "/lock", lossReason: .znodeDeleted))
        let told = await states.first { $0.isLost }
        #expect(told?.lossReason == .znodeDeleted)
    }

    @Test func `a lock whose session has ended is released without a request`() async throws {
        let scene = try Scene()
        let place = try scene.place()
        scene.session.markGone(.sessionEnded)
        #expect(!place.isValid)
        #expect(await place.leave() == .sessionEnded)
    }

    @Test func `a deadline that has passed is a loss without a notice`() throws {
        let scene = try Scene()
        let place = try scene.place()
        scene.clock.set(.seconds(4))
        #expect(!place.isValid && !place.enter())
        #expect(place.loss.value == nil && place.lossReason == .deadlinePassed)
        // A proof that arrives late moves the deadline on: nothing else was granted meanwhile.
        scene.prove(until: 8)
        #expect(place.isValid && place.enter())
    }

    @Test func `readers share a place while it is valid, and not after`() throws {
        let scene = try Scene()
        let place = try scene.place(.read)
        SharedReadLocks.add(place)
        let shared = SharedReadLocks.enter(place.key)
        #expect(shared === place)
        #expect(SharedReadLocks.enter(HeldLock.Key(scene.client, "/other")) == nil)
        let other = try ZooKeeperClient.withoutServer(clock: scene.clock)
        #expect(SharedReadLocks.enter(HeldLock.Key(other, "/lock")) == nil)
        scene.clock.set(.seconds(5))
        #expect(SharedReadLocks.enter(place.key) == nil)
        scene.prove(until: 9)
        place.beginToLeave()
        place.beginToLeave()
        #expect(SharedReadLocks.enter(place.key) == nil)
    }

    @Test func `a downgrade happens once, and keeps the number as a shared token`() throws {
        let scene = try Scene()
        let place = try scene.place()
        #expect(place.token == FencingToken(rawValue: 7, kind: .exclusive))
        let read = scene.session.holdWatched("/lock/read", czxid: 9, of: scene.client)
        #expect(place.downgrade(to: read, cleanUp: .node(path: read.path)))
        #expect(place.kind == .read && place.holding.nodes.map(\.path) == ["/lock/read"])
        #expect(place.token == FencingToken(rawValue: 7, kind: .shared))
        let again = scene.session.holdWatched("/lock/again", czxid: 10, of: scene.client)
        #expect(!place.downgrade(to: again, cleanUp: .node(path: again.path)))
        // The write znode is gone: its end is no loss.
        #expect(place.isValid && place.loss.value == nil)
    }

    @Test func `bodies are waited for without limit, handles are not`() throws {
        let place = try Scene().place()
        #expect(place.holding.nodes[0].isHandle)
        place.beginBody()
        place.beginBody()
        place.endBody()
        #expect(!place.holding.nodes[0].isHandle)
        place.endBody()
        #expect(place.holding.nodes[0].isHandle)
    }

    @Test func `a place without users is not in memory`() throws {
        let scene = try Scene()
        weak var released: HeldLock?
        do {
            let place = try scene.place(.read)
            SharedReadLocks.add(place)
            scene.session.markGone(.sessionEnded)
            place.beginToLeave()
            released = place
        }
        #expect(released == nil)
    }

    @Test func `a read lock that is added after its last user has left is not in memory`() throws {
        let scene = try Scene()
        weak var released: HeldLock?
        do {
            let place = try scene.place(.read)
            scene.session.markGone(.sessionEnded)
            place.beginToLeave()
            SharedReadLocks.add(place)
            released = place
        }
        #expect(released == nil)
    }

    @Test func `the risk is told while there is no connection, and ends with the lock`() throws {
        let place = try Scene().place()
        // The client of this scene is never connected.
        let state = place.report.current(validUntil: place.validUntil)
        #expect(state.isAtRisk && state.isHeld)
        place.report.lost(.deadlinePassed)
        #expect(place.report.current(validUntil: place.validUntil).lossReason == .deadlinePassed)
        place.report.finish(.released)
        #expect(place.report.outcome == .deleted)
    }
}
