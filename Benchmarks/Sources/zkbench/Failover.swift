import Glibc
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Two candidates for leadership in two processes, of which one is killed or closed.
enum Failover {
    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let rounds = try arguments.count(0)
        let kind = try arguments.word(1, of: ["selector", "latch"])
        for how in ["kill", "close"] {
            let path = bench.freshPath("leader")
            var times = Latencies()
            var leader = try CandidateProcess(bench, kind, path, "c0")
            _ = try await leader.time(of: "LEADER")
            for round in 1...rounds {
                let next = try CandidateProcess(bench, kind, path, "c\(round)")
                _ = try await next.time(of: "READY")
                try await Task.sleep(for: .milliseconds(Int.random(in: 300..<1_000)))
                let start: Int64
                if how == "kill" {
                    start = now()
                    await leader.process.kill()
                } else {
                    try leader.process.send(line: "close")
                    start = try await leader.time(of: "CLOSING")
                }
                times.record(try await next.time(of: "LEADER") - start)
                try await leader.process.waitForExit()
                leader = next
            }
            await leader.process.kill()
            var report = Report("leader-failover")
            report.add("kind", kind)
            report.add("how", how)
            report.add("session_ms", bench.failoverMilliseconds)
            report.add("rounds", rounds)
            report.add("p50_ms", times.milliseconds.p50)
            report.add("min_ms", times.milliseconds.min)
            report.add("max_ms", times.milliseconds.max)
            report.print()
        }
    }

    /// Is a candidate until a line or the end of the input, and prints events with their times.
    static func candidate(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (kind, path, id) = (try arguments.text(0), try arguments.text(1), try arguments.text(2))
        let session = Duration.milliseconds(bench.failoverMilliseconds)
        try await bench.withClients(1, session: session) { clients in
            let client = clients[0]
            let running = kind == "latch" ? try latch(client, path, id) : try selector(client, path, id)
            while try await LeaderSelector.participants(client: client, path: path).allSatisfy({ $0.id != id }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            try await Task.sleep(for: .milliseconds(100))
            say("READY")
            await Task.detached { _ = readLine() }.value
            say("CLOSING")
            running.cancel()
            _ = await running.result
        }
        say("CLOSED")
    }

    private static func selector(_ client: ZooKeeperClient, _ path: String, _ id: String) throws -> Task<
        Void, any Error
    > {
        let selector = try LeaderSelector(client: client, path: path, id: id, logger: .errorsOnly) { _ in
            say("LEADER")
            try await Task.sleep(for: .seconds(86_400))
        }
        return Task { try await selector.run() }
    }

    private static func latch(_ client: ZooKeeperClient, _ path: String, _ id: String) throws -> Task<Void, any Error> {
        let latch = try LeaderLatch(client: client, path: path, id: id, logger: .errorsOnly)
        return Task {
            async let _: Void = {
                for await state in latch.states where state.isLeading { return say("LEADER") }
            }()
            try await latch.run()
        }
    }
}

private func say(_ word: String) {
    let line = Array("\(word) \(now())\n".utf8)
    _ = write(1, line, line.count)
}

/// A process that runs the line `candidate`.
private struct CandidateProcess {
    let process: TestProcess

    init(_ bench: Bench, _ kind: String, _ path: String, _ id: String) throws {
        process = try TestProcess(
            ownProgram(), arguments: [bench.connect, "candidate", kind, path, id], takesInput: true)
    }

    /// Waits for an event and returns its time.
    func time(of word: String) async throws -> Int64 {
        let line = try await process.line { $0.hasPrefix(word + " ") }
        return Int64(line.dropFirst(word.count + 1)) ?? 0
    }
}

/// Returns the path of this program.
func ownProgram() -> String {
    var buffer = [CChar](repeating: 0, count: 4_096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
