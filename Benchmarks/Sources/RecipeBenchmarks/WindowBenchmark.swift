import ArgumentParser
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// The time that a window takes to open and to close, and its requests to the server.
struct WindowBenchmark: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "window", abstract: "Pause and resume of a number of processors, each with a session of its own.")

    @Option(parsing: .upToNextOption, help: "Numbers of processors.") var processors = [1, 10, 100]
    @Option(help: "Windows of each size; the median is printed.") var rounds = 10
    @Option(help: "Connection string; a server of its own by default, which also counts requests.")
    var connect: String?

    func run() async throws {
        print("\nA window over processors that pause and resume (\(rounds) windows, one machine for all)")
        var rows = [["processors", "pause ms", "per processor", "resume ms", "per processor", "requests a processor"]]
        for count in processors {
            try await withServer(connect) { connection, server in
                rows.append(try await measure(count, connection, server))
            }
        }
        printTable(rows)
    }

    private func measure(_ count: Int, _ connection: String, _ server: TestServer?) async throws -> [String] {
        var clients: [ZooKeeperClient] = []
        for _ in 0...count { clients.append(try makeClient(connection)) }
        let gates = try clients.dropLast().enumerated().map { number, client in
            try ExclusiveMode(client: client, path: "/bench-window").gate(id: "processor-\(number)")
        }
        let mode = try ExclusiveMode(client: clients[count], path: "/bench-window")
        return try await withThrowingTaskGroup(of: Void.self) { group in
            for client in clients { group.addTask { try await client.run() } }
            for gate in gates { group.addTask { try await gate.run() } }
            defer { group.cancelAll() }
            await open(gates)
            _ = try await mode.withWindow(reason: "warm up") { _ in }
            await open(gates)
            return try await windows(mode, gates, server)
        }
    }

    private func windows(_ mode: ExclusiveMode, _ gates: [EventGate], _ server: TestServer?) async throws -> [String] {
        var pauses: [Double] = []
        var resumes: [Double] = []
        let before = try await server?.counters().packetsReceived ?? 0
        for _ in 0..<rounds {
            let asked = ContinuousClock.now
            let (paused, ended) = try await mode.withWindow(reason: "bench") { _ in
                let now = ContinuousClock.now
                return (now, now)
            }
            await open(gates)
            pauses.append(asked.duration(to: paused).inMilliseconds)
            resumes.append(ended.duration(to: .now).inMilliseconds)
        }
        let after = try await server?.counters().packetsReceived ?? 0
        let requests = Double(after - before) / Double(rounds * gates.count)
        let (pause, resume) = (median(pauses), median(resumes))
        return [
            String(gates.count), text(pause, digits: 2), text(pause / Double(gates.count), digits: 2),
            text(resume, digits: 2), text(resume / Double(gates.count), digits: 2),
            server == nil ? "-" : text(requests, digits: 1),
        ]
    }

    private func open(_ gates: [EventGate]) async {
        for gate in gates {
            for await state in gate.states where state.isOpen { break }
        }
    }
}
