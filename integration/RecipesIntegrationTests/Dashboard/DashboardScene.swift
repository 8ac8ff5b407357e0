import SystemSupport
import Testing
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// Recipes for the page of the dashboard to show, most of them written by hand, so that tests control their states.
struct DashboardScene: Sendable {
    static let uuid = "0b0c2a34-5a4e-4f0e-9a7d-2f1d6c3b8e10"

    let client: ZooKeeperClient
    /// The znode above all recipes.
    let root: String

    /// Runs an operation with a connected client.
    static func with<Result: Sendable>(
        _ root: String, at server: TestServer = .current, _ body: (DashboardScene) async throws -> Result
    ) async throws -> Result {
        let configuration = try ZooKeeperClientConfiguration(
            connectionString: server.connectionString, sessionTimeout: .seconds(20))
        return try await withZooKeeperClient(configuration: configuration) { client in
            try await body(DashboardScene(client: client, root: root))
        }
    }

    func create(_ path: String, _ text: String = "", _ mode: CreateMode = .persistent) async throws {
        try await create(path, Array(text.utf8), mode)
    }

    func create(_ path: String, _ data: [UInt8], _ mode: CreateMode = .persistent) async throws {
        let parent = try ZNodePath(root + path).parent?.string ?? "/"
        do { try await client.create(parent, parents: true) } catch let error as ZooKeeperError
            where error.code == .nodeExists
        {}
        try await client.create(root + path, data: data, mode: mode)
    }

    /// Creates many znodes whose parents exist.
    func createAll(_ nodes: [(path: String, data: [UInt8], mode: CreateMode)]) async throws {
        for start in stride(from: 0, to: nodes.count, by: 200) {
            let part = nodes[start..<min(start + 200, nodes.count)]
            _ = try await client.transaction(part.map { .create(root + $0.path, data: $0.data, mode: $0.mode) })
        }
    }

    /// The name of the znode of a participant in a queue.
    static func contender(_ number: Int, _ kind: String = "-lock-") -> String {
        let digits = String(number)
        return "_c_\(uuid)\(kind)\(String(repeating: "0", count: 10 - digits.count))\(digits)"
    }

    /// Creates a queue whose first participant holds it.
    func createQueue(_ path: String, _ ids: [String], kind: String = "-lock-") async throws {
        for (number, id) in ids.enumerated() {
            try await create("\(path)/\(Self.contender(number, kind))", id, .ephemeral)
        }
    }

    // MARK: An exclusive mode

    /// The data of a processor's znodes.
    static func processor(_ id: String, inside: Int? = nil, oldest: Duration? = nil, host: String = "host-1") -> [UInt8]
    {
        var data = KeyValueData()
        data["member"] = "member-\(id)"
        data["name"] = id
        data["host"] = host
        data["pid"] = "4000"
        if let inside { data["inside"] = String(inside) }
        if let oldest { data["oldest"] = String(Int(oldest / .milliseconds(1))) }
        return data.bytes
    }

    /// The read lock of a processor that has not paused.
    func lock(_ base: String, _ number: Int) -> String {
        "\(base)/locks/\(Self.contender(number, "-__READ__"))"
    }

    /// Creates the znodes of processors that run.
    func createProcessors(_ base: String, _ ids: [String]) async throws {
        for part in ["windows", "locks", "members"] { try await create("\(base)/\(part)") }
        try await createAll(
            ids.enumerated().flatMap { number, id in
                [
                    ("\(base)/members/member-\(id)", Self.processor(id), .ephemeral),
                    (lock(base, number), Self.processor(id), .ephemeral),
                ]
            })
    }

    func requestWindow(_ base: String, by owner: String, reason: String) async throws {
        var data = KeyValueData()
        data["owner"] = owner
        data["reason"] = reason
        try await create("\(base)/signal", data.bytes, .ephemeral)
    }

    func endWindow(_ base: String) async throws { try await client.delete("\(root)\(base)/signal") }

    // MARK: A partition group

    /// Creates a group whose partitions are owned by its nodes in turn.
    func createPartitions(_ path: String, _ count: Int, nodes: [String]) async throws {
        for part in ["members", "cordons", "partitions"] { try await create("\(path)/\(part)") }
        try await createAll(nodes.map { ("\(path)/members/\($0)", [], .ephemeral) })
        let names = (0..<count).map { Self.partition($0) }
        try await createAll(names.map { ("\(path)/partitions/\($0)", [], .persistent) })
        try await createAll(
            names.enumerated().map { number, name in
                (owner(path, name), Array(nodes[number % nodes.count].utf8), .ephemeral)
            })
    }

    static func partition(_ number: Int) -> String {
        "p-\(String(repeating: "0", count: 4 - String(number).count))\(number)"
    }

    private func owner(_ path: String, _ partition: String) -> String {
        "\(path)/partitions/\(partition)/\(Self.contender(0))"
    }

    /// Gives a partition to another node.
    func move(_ partition: String, of path: String, to node: String) async throws {
        let owner = root + owner(path, partition)
        _ = try await client.transaction([
            .delete(owner), .create(owner, data: Array(node.utf8), mode: .ephemeral),
        ])
    }
}

/// A running `zkrecipes dashboard`.
struct DashboardProcess: Sendable {
    let process: TestProcess
    /// The address of the page.
    let address: String
    /// The address with the token, if changes are allowed.
    let addressWithToken: String?

    static func start(
        _ paths: [String], _ options: [String] = [], at server: TestServer = .current, listen: String = "127.0.0.1:0"
    ) async throws -> DashboardProcess {
        let process = try ProgramRun.start(
            ["dashboard"] + paths + ["--listen", listen] + options, connect: server.connectionString)
        let address = try await Self.address("serving the dashboard at ", process)
        let changes = options.contains("--allow-changes")
        return DashboardProcess(
            process: process, address: address,
            addressWithToken: changes ? try await Self.address("changes are possible at ", process) : nil)
    }

    private static func address(_ words: String, _ process: TestProcess) async throws -> String {
        let line = try await process.line { $0.contains(words) }
        return String(try #require(line.split(separator: " ").last))
    }

    /// The address and the port that it listens on.
    var listening: String { String(address.dropFirst("http://".count).dropLast()) }

    func stop() async throws {
        try process.terminate()
        try await process.waitForExit()
    }
}
