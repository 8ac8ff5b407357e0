import Foundation
import ZooKeeper

/// The memory and the threads of connected clients at rest.
enum Memory {
    static func run(_ bench: Bench, _ arguments: LineArguments) async throws {
        let count = try arguments.count(0)
        // The first client also brings what all clients share.
        try await bench.withClients(1, session: bench.longSession) { _ in
            let before = ProcessStatus()
            try await bench.withClients(count, session: bench.longSession) { clients in
                for client in clients { _ = try await client.exists(at: "/") }
                // The thread of libdispatch that opened a connection ends after 5 s without work.
                try await Task.sleep(for: .seconds(7))
                let after = ProcessStatus()
                var report = Report("memory")
                report.add("clients", count)
                report.add("bytes_client", Double(after.resident - before.resident) / Double(count), digits: 0)
                report.add("threads_client", Double(after.threads - before.threads) / Double(count))
                report.add("base_bytes", before.resident)
                report.print()
            }
        }
    }
}

/// The resident memory in bytes and the number of threads of this process, as the kernel counts them.
struct ProcessStatus {
    let resident: Int
    let threads: Int

    init() {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        func number(_ key: String) -> Int {
            let line = text.split(separator: "\n").first { $0.hasPrefix(key + ":") }
            return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
        }
        resident = number("VmRSS") * 1_024
        threads = number("Threads")
    }
}
