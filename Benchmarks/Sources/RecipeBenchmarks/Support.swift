import Logging
import ZooKeeper
import ZooKeeperTestKit

/// The median.
func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard !sorted.isEmpty else { return .nan }
    return sorted.count % 2 == 1
        ? sorted[sorted.count / 2] : (sorted[sorted.count / 2 - 1] + sorted[sorted.count / 2]) / 2
}

func text(_ value: Double, digits: Int = 1) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (value * scale).rounded() / scale
    return digits == 0 ? String(Int(rounded)) : String(rounded)
}

/// Prints aligned columns, the first to the left, the others to the right.
func printTable(_ rows: [[String]]) {
    let widths = (0..<(rows.first?.count ?? 0)).map { column in rows.map { $0[column].count }.max() ?? 0 }
    for row in rows {
        let cells = row.enumerated().map { index, cell in
            let padding = String(repeating: " ", count: widths[index] - cell.count)
            return index == 0 ? cell + padding : padding + cell
        }
        print("  " + cells.joined(separator: "   "))
    }
}

extension Duration {
    var inNanoseconds: Double {
        Double(components.seconds) * 1e9 + Double(components.attoseconds) / 1e9
    }
    var inMilliseconds: Double { inNanoseconds / 1e6 }
}

func makeClient(_ connection: String, sessionTimeout: Duration = .seconds(30)) throws -> ZooKeeperClient {
    try ZooKeeperClient(
        configuration: .init(connectionString: connection, sessionTimeout: sessionTimeout), logger: makeLogger())
}

/// A logger for errors.
func makeLogger() -> Logger {
    var logger = Logger(label: "bench")
    logger.logLevel = .error
    return logger
}

/// Runs a body with the connection string of a server: the given one, or one that is started for the body.
func withServer(_ connect: String?, _ body: (String, TestServer?) async throws -> Void) async throws {
    if let connect {
        try await body(connect, nil)
    } else {
        try await withTestServer { server in try await body(server.connectionString, server) }
    }
}
