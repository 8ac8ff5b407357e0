import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// Caches of one znode that another session writes.
enum NodeCaches {
    static func one(_ bench: Bench, _ arguments: LineArguments) async throws {
        let count = try arguments.count(0)
        let result = try await measure(bench, caches: 1, sessions: 1, count, warmUp: max(50, min(count / 2, 500)))
        var report = Report("nodecache")
        report.add("kind", "nodecache")
        report.add("n", count)
        report.add("ops_s", Double(count) / result.seconds)
        report.add(result.latencies)
        report.add(result.writes, prefix: "set_")
        report.add("req_per_op", Double(result.requests) / Double(count))
        report.add("missed", result.missed)
        report.print()
    }

    static func fan(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (caches, count) = (try arguments.count(0), try arguments.count(1))
        let sessions = try arguments.word(2, of: ["own", "shared"]) == "own" ? caches : 1
        let result = try await measure(bench, caches: caches, sessions: sessions, count, warmUp: max(5, count / 4))
        var report = Report("nodecache-fan")
        report.add("kind", "nodecache")
        report.add("caches", caches)
        report.add("sessions", sessions)
        report.add("n", count)
        report.add(result.latencies)
        report.add("req_per_op", Double(result.requests) / Double(count))
        report.add("missed", result.missed)
        report.print()
    }

    /// A cache of many children: its first content, its memory, and changes of single children.
    static func children(_ bench: Bench, _ arguments: LineArguments) async throws {
        let count = try arguments.count(0)
        try await bench.withClients(2, session: bench.longSession) { clients in
            let (writer, path) = (clients[1], bench.freshPath("children"))
            try await writer.create(path)
            for start in stride(from: 0, to: count, by: 500) {
                try await writer.transaction(
                    (start..<min(start + 500, count)).map { .create("\(path)/child-\($0)", data: [48]) })
            }
            let memory = ProcessStatus().resident
            let (packets, start) = (try bench.packets(), now())
            try await withChildrenCache(client: clients[0], path: path) { cache in
                for await entry in cache.changes where entry.snapshot?.count == count { break }
                var report = Report("children-cache")
                report.add("children", count)
                report.add("load_ms", Double(now() - start) / 1e6)
                report.add("req_load", try bench.packets(since: packets))
                report.add("memory_mb", Double(ProcessStatus().resident - memory) / 1e6)
                report.add("watched", cache.current.snapshot?.count(where: \.isWatched) ?? 0)
                report.add(try await changes(of: cache, writer, min(count, 200)))
                report.print()
            }
        }
    }

    /// Returns the time from the write of a watched child until the cache has it.
    private static func changes(
        of cache: ChildrenCache, _ writer: ZooKeeperClient, _ count: Int
    ) async throws -> Latencies {
        let watched = (cache.current.snapshot?.filter(\.isWatched) ?? []).prefix(count).map(\.path)
        var latencies = Latencies()
        for path in watched {
            let start = now()
            let version = try await writer.setData([49], at: path).dataVersion
            for await entry in cache.changes
            where (entry.snapshot?[path: path]?.stat?.dataVersion ?? -1) >= version { break }
            latencies.record(now() - start)
        }
        return latencies
    }

    private struct Result {
        var (latencies, writes) = (Latencies(), Latencies())
        var (requests, missed, seconds) = (0, 0, 0.0)
    }

    private static func measure(
        _ bench: Bench, caches: Int, sessions: Int, _ count: Int, warmUp: Int
    ) async throws -> Result {
        var result = Result()
        try await bench.withClients(sessions + 1, session: sessions == 1 ? bench.session : bench.longSession) {
            clients in
            let (writer, path) = (clients[sessions], bench.freshPath("cache"))
            try await writer.create(path, data: [48])
            let sightings = Sightings(caches)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<caches {
                    let cache = try NodeCache(client: clients[number % sessions], path: path, logger: .errorsOnly)
                    group.addTask { try await cache.run() }
                    group.addTask {
                        for await entry in cache.changes {
                            guard let version = entry.stat?.dataVersion else { continue }
                            sightings.note(number, version: version, at: now())
                        }
                    }
                }
                group.addTask { try await sightings.giveUpLateOnes() }
                _ = await sightings.all()
                try await write(writer, path, sightings, count, warmUp: warmUp, bench, &result)
                group.cancelAll()
                while let _ = await group.nextResult() {}
            }
        }
        return result
    }

    private static func write(
        _ writer: ZooKeeperClient, _ path: String, _ sightings: Sightings, _ count: Int, warmUp: Int, _ bench: Bench,
        _ result: inout Result
    ) async throws {
        var (packets, start) = (0, Int64(0))
        for turn in -warmUp..<count {
            if turn == 0 { (packets, start) = (try bench.packets(), now()) }
            sightings.expect(version: Int32(turn + warmUp + 1))
            let began = now()
            try await writer.setData(Array("\(turn)".utf8), at: path)
            let written = now()
            guard let seen = await sightings.all() else {
                result.missed += 1
                continue
            }
            guard turn >= 0 else { continue }
            result.latencies.record(seen - began)
            result.writes.record(written - began)
        }
        result.seconds = Double(now() - start) / 1e9
        result.requests = try bench.packets(since: packets)
    }
}

/// The versions that the caches have seen.
private final class Sightings: Sendable {
    private struct State {
        var seen: [Int32]
        var expected: Int32 = 0
        var left: Int
        var last: Int64?
        var deadline = Int64.max
        var waiting: CheckedContinuation<Int64?, Never>?
    }

    private let state: Mutex<State>

    init(_ caches: Int) {
        state = Mutex(State(seen: Array(repeating: -1, count: caches), left: caches))
    }

    func expect(version: Int32) {
        state.withLock { state in
            state.expected = version
            state.left = state.seen.count { $0 < version }
            state.last = nil
        }
    }

    func note(_ cache: Int, version: Int32, at time: Int64) {
        let waiting: CheckedContinuation<Int64?, Never>? = state.withLock { state in
            let isFirst = state.seen[cache] < state.expected && version >= state.expected
            state.seen[cache] = max(state.seen[cache], version)
            guard isFirst else { return nil }
            state.left -= 1
            guard state.left == 0 else { return nil }
            state.last = time
            return state.waiting.take()
        }
        waiting?.resume(returning: time)
    }

    /// Waits until all caches have seen the expected version, and returns the time of the last one; `nil` if one of
    /// them takes longer than 10 s.
    func all() async -> Int64? {
        await withCheckedContinuation { continuation in
            let last = state.withLock { state in
                if state.last == nil { (state.waiting, state.deadline) = (continuation, now() + 10_000_000_000) }
                return state.last
            }
            if let last { continuation.resume(returning: last) }
        }
    }

    func giveUpLateOnes() async throws {
        while true {
            try await Task.sleep(for: .seconds(1))
            state.withLock { $0.deadline < now() ? $0.waiting.take() : nil }?.resume(returning: nil)
        }
    }
}
