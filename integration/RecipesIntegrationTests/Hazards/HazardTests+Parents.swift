import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Section 1.5: parents that come and go.
extension HazardTests {
    @Test func `H63 containers that vanish between their creation and their use keep nobody from a lock`() async throws
    {
        var configuration = TestServerConfiguration()
        configuration.containerCheckInterval = .milliseconds(10)
        configuration.systemProperties["znode.container.maxPerMinute"] = "1000000"
        try await LockScene.with(sessionTimeout: .seconds(20), configuration: configuration) { scene in
            let crossing = Crossing()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<10 {
                    let lock = number.isMultiple(of: 2) ? scene.lock : scene.otherLock
                    group.addTask {
                        for _ in 0..<30 { try await lock.withWriteLock { _ in crossing.pass() } }
                    }
                }
                try await group.waitForAll()
            }
            #expect(crossing.count == 300 && crossing.meetings == 0)
            // Alone, each time below containers that may be gone by then.
            for number in 0..<100 {
                try await DistributedReadWriteLock(client: scene.client, path: "/deep/\(number % 3)/lock").withWriteLock
                {
                    #expect($0.isValid)
                }
            }
        }
    }
}
