import Synchronization
import Testing
import ZooKeeper
import ZooKeeperTestKit

@testable import ZooKeeperRecipes

@Suite(.timeLimit(.minutes(2)))
struct ExclusiveModeTests {
    @Test func `nobody processes while a window's operation runs, and everybody does again after it`() async throws {
        try await withTestServer { server in
            try await withProcessors(3, connection: server.connectionString) { processors, mode in
                let tokens = try await mode.withWindow(reason: "nightly") { window in
                    #expect(window.isValid)
                    #expect(window.processors == ["processor-0", "processor-1", "processor-2"])
                    let before = processors.map { $0.processed.load(ordering: .sequentiallyConsistent) }
                    let status = try await mode.status()
                    #expect(status.window?.reason == "nightly")
                    #expect(status.notPaused.isEmpty)
                    #expect(status.processors.count == 3)
                    for processor in processors {
                        #expect(processor.inside.load(ordering: .sequentiallyConsistent) == 0)
                        #expect(processor.gate.tryEnter() == nil)
                    }
                    #expect(before == processors.map { $0.processed.load(ordering: .sequentiallyConsistent) })
                    return window.fencingToken
                }
                for processor in processors {
                    await processor.awaitState(\.isOpen)
                    let permit = try await processor.gate.enter()
                    #expect(permit.fencingToken > tokens)
                    permit.leave()
                }
                #expect(try await mode.recentWindows().map(\.outcome) == [.completed])
                #expect(try await mode.status().window == nil)
            }
        }
    }

    @Test func `a straggler's place is taken away, and waited for`() async throws {
        try await withTestServer { server in
            let timeout = Duration.seconds(2)
            try await withProcessors(2, connection: server.connectionString, sessionTimeout: timeout) {
                processors, mode in
                let stuck = try await processors[1].gate.enter()
                let token = try await mode.withWindow(reason: "forced", drain: .evict(after: .milliseconds(200))) {
                    window in
                    #expect(window.evicted == ["processor-1"])
                    #expect(!stuck.isValid)
                    return window.fencingToken
                }
                #expect(stuck.fencingToken < token)
                stuck.leave()
                for processor in processors { await processor.awaitState(\.isOpen) }
                #expect(try await mode.recentWindows().last?.evicted == ["processor-1"])
            }
        }
    }

    @Test func `a window waits for a reader whose znode it may not read, and no longer`() async throws {
        try await withTestServer { server in
            try await withProcessors(1, connection: server.connectionString) { _, mode in
                try await withZooKeeperClient(configuration: mode.client.configuration) { stranger in
                    try await stranger.addAuth(.digest(user: "stranger", password: "secret"))
                    let reader = try await stranger.create(
                        "/batch/locks/_c_0b6f0f3c-7f2e-4a55-9c43-3a6f6ed5c001-__READ__", mode: .ephemeralSequential,
                        acl: [.creatorAll])
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        group.addTask {
                            try await mode.withWindow(reason: "behind a stranger") { window in
                                let standing = try await stranger.exists(at: reader.path)
                                #expect(standing == nil)
                                #expect(window.isValid)
                            }
                        }
                        // The window is behind the reader once its signal stands.
                        while try await mode.status().window == nil {}
                        try await stranger.delete(reader.path)
                        try await group.waitForAll()
                    }
                }
            }
        }
    }
}
