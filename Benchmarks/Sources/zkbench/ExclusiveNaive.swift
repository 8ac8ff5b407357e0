import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// Processors that acquire a read lock for every event.
enum ExclusiveNaive {
    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let (processors, seconds) = (try arguments.count(0), try arguments.count(1))
        let (path, board) = (bench.freshPath("naive"), try Board(processors: processors))
        try await bench.withClients(processors, session: bench.longSession) { clients in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (number, client) in clients.enumerated() {
                    let lock = try DistributedReadWriteLock(client: client, path: path)
                    group.addTask {
                        while board.stop.value == 0 {
                            let lease = try await lock.acquireReadLock()
                            board.events(number).increment()
                            await lease.release()
                        }
                    }
                }
                func events() -> Int { (0..<processors).reduce(0) { $0 + board.events($1).value } }
                try await Task.sleep(for: .milliseconds(1_500))
                let (packets, start, before) = (try bench.packets(), now(), events())
                try await Task.sleep(for: .seconds(seconds))
                let (count, time) = (events() - before, Double(now() - start) / 1e9)
                let requests = try bench.packets(since: packets)
                board.stop.value = 1
                try await group.waitForAll()
                var report = Report("exclusive-naive")
                report.add("c", processors)
                report.add("events_s", Double(count) / time)
                report.add("req_s", Double(requests) / time)
                report.add("req_per_op", Double(requests) / Double(max(1, count)))
                report.print()
            }
        }
    }
}
