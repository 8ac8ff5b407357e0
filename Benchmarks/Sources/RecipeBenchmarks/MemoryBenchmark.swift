import ArgumentParser
import Foundation
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// The memory that many repetitions leave in use; any growth would eventually end a program that runs for years.
struct MemoryBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "memory",
        abstract: "Memory of the process after many repetitions of each operation, and after the first thousand.",
        discussion: "Exits with 1 if an operation leaves more than 20 bytes per repetition, and more than 1 MiB in all."
    )

    @Option(help: "Repetitions of each operation.") var repetitions = 100_000
    @Option(help: "Connection string; a server of its own by default.") var connect: String?

    func run() async throws {
        print("\nMemory after \(repetitions) repetitions, in one process and one session")
        var rows = [["operation", "after 1,000 KiB", "after all KiB", "bytes a repetition", "us a repetition"]]
        var leaks = false
        try await withServer(connect) { connection, _ in
            let configuration = try ZooKeeperClientConfiguration(
                connectionString: connection, sessionTimeout: .seconds(30))
            try await withZooKeeperClient(configuration: configuration, logger: makeLogger()) { client in
                for (name, operation) in try operations(client) {
                    let warm = min(1_000, repetitions)
                    for _ in 0..<warm { try await operation() }
                    let (before, start) = (residentKilobytes(), ContinuousClock.now)
                    for _ in 0..<repetitions { try await operation() }
                    let (after, time) = (residentKilobytes(), ContinuousClock.now - start)
                    let left = Double(after - before) * 1024 / Double(repetitions)
                    if left > 20, after - before > 1024 { leaks = true }
                    rows.append([
                        name, String(before), String(after), text(left),
                        text(time.inNanoseconds / 1_000 / Double(repetitions)),
                    ])
                }
            }
        }
        printTable(rows)
        if leaks { throw ExitCode.failure }
    }

    private typealias Operation = @Sendable () async throws -> Void

    private func operations(_ client: ZooKeeperClient) throws -> [(String, Operation)] {
        let mutex = try DistributedMutex(client: client, path: "/memory/mutex")
        let lock = try DistributedReadWriteLock(client: client, path: "/memory/lock")
        let semaphore = try DistributedSemaphore(client: client, path: "/memory/semaphore", limit: 2)
        let mode = try ExclusiveMode(client: client, path: "/memory/exclusive")
        return [
            ("mutex", { try await mutex.withLock { _ in } }),
            ("mutex with a limit of an hour", { try await mutex.withLock(timeout: .seconds(3600)) { _ in } }),
            ("read lock", { try await lock.withReadLock { _ in } }),
            ("write lock", { try await lock.withWriteLock { _ in } }),
            ("mutex, handle", { await (try await mutex.acquire()).release() }),
            ("semaphore lease", { try await semaphore.withLease { _ in } }),
            ("window", { _ = try await mode.withWindow(reason: "memory") { _ in } }),
            ("window with a gate", { try await self.windowWithGate(mode) }),
            ("term of leadership", { try await self.term(client) }),
            ("cache read", { try await withNodeCache(client: client, path: "/memory/exclusive") { _ = $0.current } }),
        ]
    }

    /// A gate that opens, is closed by a window, and stops.
    private func windowWithGate(_ mode: ExclusiveMode) async throws {
        let gate = mode.gate(id: "memory")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await gate.run() }
            for await state in gate.states where state.isOpen { break }
            _ = try await mode.withWindow(reason: "memory") { _ in }
            group.cancelAll()
        }
    }

    private func term(_ client: ZooKeeperClient) async throws {
        let latch = try LeaderLatch(client: client, path: "/memory/latch", logger: makeLogger())
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await latch.run() }
            for await state in latch.states where state.isLeading { break }
            group.cancelAll()
        }
    }
}

/// The resident memory of this process, as the kernel counts it.
private func residentKilobytes() -> Int {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return 0 }
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
}
