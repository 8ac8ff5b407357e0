import Logging
import ServiceLifecycle
import Synchronization
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit
import ZooKeeperTestKitTraits

/// What participants did, in order, by the clock of this process.
private final class Diary: Sendable {
    private let running = Mutex<(current: Int, most: Int)>((0, 0))

    /// Runs something of which only one may run at a time.
    func alone(_ work: () async throws -> Void) async rethrows {
        running.withLock { running in
            running.current += 1
            running.most = max(running.most, running.current)
        }
        defer { running.withLock { $0.current -= 1 } }
        try await work()
    }

    /// The most that ever ran at the same time.
    var most: Int { running.withLock { $0.most } }
}

/// Needs time to end, whatever its task is told.
private func windDown(_ duration: Duration) async {
    await Task.detached { try? await ContinuousClock().sleep(for: duration) }.value
}

/// A session outlives everything that is held by it, however a program ends.
@Suite(.zooKeeperServer, .serialized, .timeLimit(.minutes(3)))
struct HolderLifetimeTests {
    /// A session that others would see expire while the holder winds down, if nothing kept it alive.
    private static let timeout = Duration.seconds(2)
    private static let grace = Duration.seconds(5)

    private var configuration: ZooKeeperClientConfiguration {
        get throws {
            try ZooKeeperClientConfiguration(
                connectionString: TestServer.current.connectionString, sessionTimeout: Self.timeout)
        }
    }

    enum Stop: CaseIterable { case cancellation, gracefulShutdown }

    @Test(arguments: Stop.allCases)
    func `nobody gets a mutex before the body of a program that is told to end has ended`(stop: Stop) async throws {
        let (diary, path) = (Diary(), "/lifetime/mutex-\(stop)")
        let (entered, configuration) = (OneShot<ZooKeeperClient>(), try configuration)
        let program = Task {
            try await withZooKeeperClient(configuration: configuration) { client in
                let mutex = try DistributedMutex(client: client, path: path)
                try await mutex.withLock { lease in
                    await diary.alone {
                        entered.set(client)
                        _ = try? await lease.waitUntilLost()
                        #expect(!lease.isValid || Task.isCancelled)
                        await windDown(Self.grace)
                    }
                }
            }
        }
        let client = try await entered.wait()
        try await withZooKeeperClient(configuration: configuration) { other in
            let next = Task {
                try await DistributedMutex(client: other, path: path).withLock { _ in await diary.alone {} }
            }
            for await state in client.states where state.isConnected { break }
            switch stop {
            case .cancellation: program.cancel()
            case .gracefulShutdown: client.triggerGracefulShutdown()
            }
            _ = try? await program.value
            try await next.value
        }
        #expect(diary.most == 1)
    }

    @Test func `a service that throws does not let two leaders' closures run at once`() async throws {
        struct Mishap: Error {}
        let diary = Diary()
        let (leads, configuration) = (OneShot<Void>(), try configuration)
        let client = try ZooKeeperClient(configuration: configuration)
        let selector = try LeaderSelector(client: client, path: "/lifetime/leader", id: "one") { term in
            await diary.alone {
                leads.set(())
                _ = try? await term.waitUntilLost()
                await windDown(Self.grace)
            }
        }
        struct Failing: Service {
            let leads: OneShot<Void>
            func run() async throws {
                try await leads.wait()
                throw Mishap()
            }
        }
        try await withZooKeeperClient(configuration: configuration) { other in
            let next = try LeaderSelector(client: other, path: "/lifetime/leader", id: "two") { _ in
                await diary.alone {}
                try await OneShot<Void>().wait()
            }
            let second = Task {
                try await leads.wait()
                try await next.run()
            }
            let group = ServiceGroup(
                configuration: .init(
                    services: [
                        .init(service: client), .init(service: selector), .init(service: Failing(leads: leads)),
                    ],
                    logger: Logger(label: "lifetime")))
            await #expect(throws: (any Error).self) { try await group.run() }
            for await state in next.states where state.isLeading { break }
            second.cancel()
            _ = try? await second.value
        }
        #expect(diary.most == 1)
    }

    @Test(arguments: Stop.allCases)
    func `no event enters before the operation of a window that is told to end has ended`(stop: Stop) async throws {
        let path = "/lifetime/batch-\(stop)"
        let (opened, ended, configuration) = (OneShot<ZooKeeperClient>(), OneShot<Void>(), try configuration)
        try await withZooKeeperClient(configuration: configuration) { processor in
            let gate = try ExclusiveMode(client: processor, path: path).gate(id: "processor")
            let running = Task { try await gate.run() }
            for await state in gate.states where state.isOpen { break }
            let program = Task {
                try await withZooKeeperClient(configuration: configuration) { client in
                    let mode = try ExclusiveMode(client: client, path: path)
                    try await mode.withWindow(reason: "test") { window in
                        opened.set(client)
                        _ = try? await window.waitUntilLost()
                        await windDown(Self.grace)
                        ended.set(())
                    }
                }
            }
            let client = try await opened.wait()
            switch stop {
            case .cancellation: program.cancel()
            case .gracefulShutdown: client.triggerGracefulShutdown()
            }
            let permit = try await gate.enter()
            #expect(ended.value != nil)
            permit.leave()
            _ = try? await program.value
            running.cancel()
            try await running.value
        }
    }

    @Test func `an operation goes on with its client and cache after a graceful shutdown around it`() async throws {
        let configuration = try configuration
        let (entered, shutDown) = (OneShot<Void>(), OneShot<Void>())
        struct Program: Service {
            let body: @Sendable () async throws -> Void
            func run() async throws { try await body() }
        }
        let program = Program {
            try await withZooKeeperClient(configuration: configuration) { client in
                try await client.createParents(of: "/lifetime/shutdown/0")
                try await withNodeCache(client: client, path: "/lifetime/shutdown") { cache in
                    let mutex = try DistributedMutex(client: client, path: "/lifetime/shutdown-lock")
                    try await mutex.withLock { lease in
                        entered.set(())
                        try await shutDown.wait()
                        // More than a heartbeat later everything still works.
                        await windDown(.seconds(1))
                        #expect(lease.isValid && client.state.isConnected)
                        _ = try await client.setData([7], at: "/lifetime/shutdown")
                        for await entry in cache.changes where entry.data == [7] { break }
                    }
                }
            }
        }
        let group = ServiceGroup(services: [program], logger: Logger(label: "lifetime"))
        let running = Task { try await group.run() }
        try await entered.wait()
        await group.triggerGracefulShutdown()
        shutDown.set(())
        // The only service of the group returns, which it takes for a failure.
        _ = try? await running.value
    }

    @Test func `bodies that keep all processors busy do not lose their locks`() async throws {
        let configuration = try configuration
        try await withZooKeeperClient(configuration: configuration) { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<4 {
                    group.addTask {
                        let mutex = try DistributedMutex(client: client, path: "/lifetime/busy-\(number)")
                        try await mutex.withLock { lease in
                            // Computes for three session timeouts without suspending.
                            let end = ContinuousClock.now.advanced(by: Self.timeout * 3)
                            var wasValid = true
                            while ContinuousClock.now < end { wasValid = wasValid && lease.isValid }
                            #expect(wasValid)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
