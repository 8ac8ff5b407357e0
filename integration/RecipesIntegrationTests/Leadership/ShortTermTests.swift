import Logging
import ServiceLifecycle
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// Terms that end as soon as they have begun, and what they cost.
@Suite(.serialized, .zooKeeperServer, .timeLimit(.minutes(2)))
struct ShortTermTests {
    /// Lets something go on for three seconds; gives the requests that it has cost.
    private static func requestsInThreeSeconds(_ scene: LeaderScene) async throws -> Int {
        let clock = SystemMonotonicClock()
        let before = scene.proxy.counters.framesToServer
        try await clock.sleep(until: clock.now + .seconds(3))
        return scene.proxy.counters.framesToServer - before
    }

    /// A participant whose terms end at once, and what runs it.
    private static func participant(
        _ how: String, _ client: ZooKeeperClient, _ terms: Notes
    ) throws -> (LeaderSelector, any Service) {
        if how == "as a service" {
            let service = try LeaderGatedService(client: client, path: LeaderScene.path, id: "a") { _ in
                terms.add("term")
                return Ends()
            }
            return (service.selector, service)
        }
        let selector = try LeaderSelector(client: client, path: LeaderScene.path, id: "a") { term in
            terms.add("term")
            if how == "resigns" { term.resign() }
        }
        return (selector, selector)
    }

    @Test(arguments: ["returns", "resigns", "as a service"])
    func `a leader that ends its terms at once leads a few times, says why, and stops in its pause`(how: String)
        async throws
    {
        try await LeaderScene.with { scene in
            let terms = Notes()
            let (selector, service) = try Self.participant(how, scene.client, terms)
            let running = Task { try await service.run() }
            await terms.count(2)
            let requests = try await Self.requestsInThreeSeconds(scene)
            #expect(terms.all.count <= 20)
            #expect(requests < 200)
            await terms.count(4)
            for await state in selector.states where state.failure?.isShortTerm == true { break }
            running.cancel()
            try await running.value
            #expect(try await scene.candidates().isEmpty)
        }
    }

    @Test func `a partition whose worker returns at once is begun a few times`() async throws {
        try await LeaderScene.with { scene in
            let terms = Notes()
            let group = try PartitionGroup(
                client: scene.client, path: "/app/shards", node: "n", partitions: ["p"]
            ) { _, _ in terms.add("term") }
            let running = Task { try await group.run() }
            await terms.count(2)
            let requests = try await Self.requestsInThreeSeconds(scene)
            #expect(terms.all.count <= 20)
            #expect(requests < 300)
            running.cancel()
            try? await running.value
        }
    }

    @Test func `a longer term ends the pauses, and a shorter minimum allows more terms`() async throws {
        try await LeaderScene.with { scene in
            let terms = Notes()
            var configuration = LeaderConfiguration()
            configuration.minimumTermDuration = .milliseconds(10)
            let contestant = try scene.near("a", configuration) { _ in terms.add("term") }
            await terms.count(50)
            try await contestant.stop()
        }
    }

    @Test func `a place is handed over at once, also by a leader of short terms`() async throws {
        try await LeaderScene.with { scene in
            let one = try scene.near("one")
            try await one.leads()
            let two = try scene.far("two")
            for _ in 0..<3 {
                await two.waits()
                try await one.selector.resign(to: "two")
                try await two.leads()
                await one.waits()
                try await two.selector.resign(to: "one")
                try await one.leads()
            }
            try await one.stop()
            try await two.stop()
        }
    }
}

/// A service that has nothing to do.
private struct Ends: Service {
    func run() async throws {}
}
