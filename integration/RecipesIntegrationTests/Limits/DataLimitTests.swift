import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Data that the server's `jute.maxbuffer` does not allow costs a few connections at most, and then an error: a server
/// closes the connection without an answer, which looks like a lost network.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct DataLimitTests {
    private static let large = [UInt8](repeating: UInt8(ascii: "x"), count: 100_000)
    private static var largeText: String { String(decoding: large, as: UTF8.self) }

    /// What writes data of the caller's.
    enum Writer: String, CaseIterable, Sendable {
        case mutex, writeLock, readLock, semaphore, latch, window, gate, fencedNode, guardedFencedNode, sharedValue
        case newSharedValue

        /// How many znodes hold the data.
        var copies: Int { self == .window || self == .gate ? 2 : 1 }

        func write(_ client: ZooKeeperClient) async throws {
            let (large, text) = (DataLimitTests.large, DataLimitTests.largeText)
            switch self {
            case .mutex: try await DistributedMutex(client: client, path: "/a", data: large).withLock { _ in }
            case .writeLock:
                try await DistributedReadWriteLock(client: client, path: "/a", data: large).withWriteLock { _ in }
            case .readLock:
                try await DistributedReadWriteLock(client: client, path: "/a", id: text).withReadLock { _ in }
            case .semaphore:
                try await DistributedSemaphore(client: client, path: "/a", limit: 2, data: large).withLease { _ in }
            case .latch:
                let latch = try LeaderLatch(client: client, path: "/a", id: text)
                let run = Task { try await latch.run() }
                defer { run.cancel() }
                for await state in latch.states where state.failure?.reason.contains("dataTooLarge") == true {
                    throw ZooKeeperError(.dataTooLarge)
                }
            case .window:
                try await ExclusiveMode(client: client, path: "/a").withWindow(reason: text) { _ in }
            case .gate: try await ExclusiveMode(client: client, path: "/a").gate(id: text).run()
            case .fencedNode:
                try await FencedNode(client: client, path: "/a").write(large, token: FencingToken(rawValue: 1))
            case .guardedFencedNode:
                try await DistributedMutex(client: client, path: "/lock").withLock { lease in
                    try await FencedNode(client: client, path: "/a").write(large, under: lease)
                }
            case .sharedValue:
                let value = try SharedValue(client: client, path: "/a")
                _ = try await value.set(large, replacing: value.value())
            case .newSharedValue:
                _ = try await SharedValue(client: client, path: "/a", initial: large).value()
            }
        }
    }

    @Test(arguments: Writer.allCases)
    func `data over the server's limit is sent a few times at most, and refused then`(writer: Writer) async throws {
        var configuration = TestServerConfiguration()
        configuration.systemProperties["jute.maxbuffer"] = "8192"
        try await LockScene.with(configuration: configuration) { scene in
            _ = try await scene.client.exists(at: "/")
            let before = scene.proxy.counters.bytesToServer
            let error = await #expect(throws: ZooKeeperError.self) { try await writer.write(scene.client) }
            #expect(error?.code == .dataTooLarge)
            // Everything else goes on.
            try await scene.client.create("/small", data: [1])
            // Not connections: a busy machine loses some for other reasons.
            let sent = scene.proxy.counters.bytesToServer - before
            #expect((1...4).contains(sent / Self.large.count / writer.copies))
        }
    }

    @Test func `an own request over the server's limit fails without further connections, until the limit is raised`()
        async throws
    {
        var configuration = TestServerConfiguration()
        configuration.systemProperties["jute.maxbuffer"] = "8192"
        try await LockScene.with(configuration: configuration) { scene in
            for _ in 0..<3 {
                let error = await #expect(throws: ZooKeeperError.self) {
                    try await scene.client.create("/large", data: Self.large)
                }
                #expect(error?.isOutcomeUnknown == true)
            }
            let before = scene.proxy.counters.bytesToServer
            for _ in 0..<100 {
                let error = await #expect(throws: ZooKeeperError.self) {
                    try await scene.client.create("/large", data: Self.large)
                }
                #expect(error?.code == .dataTooLarge && error?.isOutcomeUnknown == false)
            }
            try await scene.client.create("/fits", data: [UInt8](repeating: 1, count: 8000))
            #expect(scene.proxy.counters.bytesToServer - before < Self.large.count)
        }
    }
}
