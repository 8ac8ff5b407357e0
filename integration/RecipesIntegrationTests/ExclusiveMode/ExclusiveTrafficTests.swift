import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What goes over the wire, and what holds under load and faults together.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct ExclusiveTrafficTests {
    @Test func `a pause and a resume take five requests of a processor`() async throws {
        try await ExclusiveScene.with { scene in
            let one = try await scene.processor(timeout: .seconds(30))
            let op = try await scene.windowOperator()
            _ = try await one.client.exists(at: "/marker")
            try await one.proxy.nextRequest { $0.path == "/marker" }
            one.proxy.clearRequests()
            let before = one.proxy.counters.framesToClient
            let token = await one.awaitOpen()
            try await op.window { _ in }
            await one.awaitOpen(after: token)
            _ = try await one.client.exists(at: "/marker")
            var (requests, ownReads): ([ProxiedRequest.Operation], Int) = ([], 0)
            while true {
                let request = try await one.proxy.nextRequest { ![.sync, .multi, .ping].contains($0.operation) }
                if request.path == "/marker" { break }
                // A gate that stays open for a while watches its own znode.
                if request.operation == .getData, request.path?.contains("/locks/") == true {
                    ownReads += 1
                } else {
                    requests.append(request.operation)
                }
            }
            // Acknowledges and reads the signal; rejoins, checks for a signal and reads the record.
            #expect(requests == [.delete, .getData, .createWithStat, .exists, .getData])
            // In addition to their answers: the signal's creation and deletion, and the own znode's if it is watched.
            let events = one.proxy.counters.framesToClient - before - requests.count - ownReads - 1
            #expect((2...4).contains(events))
        }
    }

    @Test(arguments: [UInt64(1)])
    func `a hundred windows among five gates, one of them cut at random, meet no event`(seed: UInt64) async throws {
        try await ExclusiveScene.with { scene in
            var processors: [Processor] = []
            for number in 0..<5 { processors.append(try await scene.processor("gate-\(number)")) }
            let op = try await scene.windowOperator()
            let victim = processors[0]
            var random = SeededNumbers(seed: seed)
            for number in 0..<100 {
                let (before, inside) = (random.next() % 3 == 0, random.next() % 3 == 0)
                if before { await victim.proxy.cut() }
                try await op.window("window \(number)") { _ in
                    if inside { await victim.proxy.cut() }
                }
            }
            let last = try #require(scene.journal.allBodies.last)
            for processor in processors { await processor.awaitOpen(after: last.token) }
            #expect(scene.journal.allBodies.count == 100)
            for processor in processors { #expect(!processor.history.contains(.recovering)) }
            try await scene.locks { $0.count == 5 }
        }
    }
}

/// The same numbers in each run.
struct SeededNumbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }
}
