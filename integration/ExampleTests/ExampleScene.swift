import ZooKeeper
import ZooKeeperTestKit

/// A part of the suite's server where the examples of one test are at home.
struct ExampleScene {
    /// What an example is given to connect to.
    let connectionString: String

    /// Makes the part of the tree.
    init(_ name: String) async throws {
        let server = TestServer.current.connectionString
        try await withZooKeeperClient(configuration: .init(connectionString: server)) { client in
            _ = try await client.create("/\(name)")
        }
        connectionString = "\(server)/\(name)"
    }

    /// Starts an example as a process that ends with the test.
    func start(_ example: String, _ arguments: String...) throws -> TestProcess {
        try startExample(example, [connectionString] + arguments)
    }
}

/// Starts an example that writes line by line, as it does on a terminal.
func startExample(_ name: String, _ arguments: [String]) throws -> TestProcess {
    try TestProcess("/usr/bin/stdbuf", arguments: ["-oL", TestProcess.path(ofProduct: name)] + arguments)
}

extension TestProcess {
    /// Waits for a line that begins so.
    @discardableResult
    func says(_ beginning: String) async throws -> String {
        try await line { $0.hasPrefix(beginning) }
    }

    /// Waits for a line that begins so and ends in a token higher than another.
    @discardableResult
    func token(of beginning: String, over other: Int64 = 0) async throws -> Int64 {
        let line = try await line { $0.hasPrefix(beginning) && (Self.token($0) ?? 0) > other }
        return Self.token(line) ?? 0
    }

    /// All that it has written, when it has ended.
    func output() async throws -> [String] {
        var all: [String] = []
        for try await line in lines { all.append(line) }
        return all
    }

    private static func token(_ line: String) -> Int64? {
        line.split(separator: " ").last.flatMap { Int64($0) }
    }
}
