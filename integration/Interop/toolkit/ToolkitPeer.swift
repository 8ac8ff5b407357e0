import Logging
import Synchronization
import SystemSupport
import ZooKeeper
import ZooKeeperRecipes
import ZooKeeperTestKit

/// A process that uses this package as it is told: one command a line on standard input, one answer a line.
///
///     ToolkitPeer CONNECTION SESSION_MS NAME
///
/// `integration/Interop/README.md` says what the commands, the answers and the evidence look like; all peers speak alike.
@main
struct ToolkitPeer {
    let name: String
    let clients: PeerClients
    let tickets = Tickets()

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 4, let timeout = Int(arguments[2]) else {
            throw PeerError("usage: ToolkitPeer CONNECTION SESSION_MS NAME")
        }
        LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }
        let configuration = try ZooKeeperClientConfiguration(
            connectionString: arguments[1], sessionTimeout: .milliseconds(timeout))
        let peer = ToolkitPeer(name: arguments[3], clients: PeerClients(configuration))
        _ = try await peer.clients[0]
        Output.say("0 ok")
        for await line in inputLines() {
            let words = line.split(separator: " ").map(String.init)
            // A task for each command: what waits must not keep the next command waiting.
            Task { await peer.answer(words) }
        }
    }

    private static func inputLines() -> AsyncStream<String> {
        let (lines, continuation) = AsyncStream<String>.makeStream()
        Task {
            try await onOwnThread {
                while let line = readLine() { continuation.yield(line) }
                continuation.finish()
            }
        }
        return lines
    }

    private func answer(_ words: [String]) async {
        do {
            let result = try await perform(words[1], Array(words.dropFirst(2)))
            Output.say(result.isEmpty ? "\(words[0]) ok" : "\(words[0]) ok \(result)")
        } catch {
            Output.say("\(words[0]) error \(error)")
        }
    }

    private func perform(_ verb: String, _ words: [String]) async throws -> String {
        switch verb {
        case "loop":
            let loop = ContenderLoop(kind: words[0], path: words[1], name: name, clients: clients)
            return try await loop.run(contenders: Int(words[2]) ?? 0, times: Int(words[3]) ?? 0)
        case "take":
            let recipe = try await PeerRecipe(words[1], path: words[2], client: clients[0], id: name)
            let holding = Holding(recipe, who: "\(name)/\(words[0])")
            tickets[words[0]] = holding
            return try await holding.token()
        case "enter":
            let barrier = try BarrierTicket(
                client: await clients[0], path: words[1], participants: Int(words[2]) ?? 0, who: "\(name)/\(words[0])")
            tickets[words[0]] = barrier
            try await barrier.enter()
        case "process":
            tickets[words[0]] = try ProcessorTicket(
                client: await clients[0], base: words[1], who: "\(name)/\(words[0])")
        case "cache":
            tickets[words[0]] = try CacheTicket(client: await clients[0], path: words[1])
        case "join":
            tickets[words[0]] = try MemberTicket(
                client: await clients[0], path: words[1], id: words[2], data: words[3])
        case "participants": return try await participants(at: words[1], client: clients[0])
        case "put": try await CacheTicket.put(words[1], at: words[0], client: clients[0])
        case "remove": try await clients[0].delete(words[0])
        case "give": try await tickets.remove(words[0]).give()
        case "act": try await tickets.find(words[0]).act()
        case "downgrade": try await tickets.find(words[0]).downgrade()
        case "interrupt": try await tickets.find(words[0]).interrupt()
        case "transfer": try await tickets.find(words[0]).transfer(to: words[1])
        case "tell": return try await tickets.find(words[0]).tell(Array(words.dropFirst()))
        default: throw PeerError("no such command: \(verb)")
        }
        return ""
    }
}

/// A command that cannot be.
struct PeerError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The clients of this process's contenders: each has a session of its own.
final class PeerClients: Sendable {
    private let configuration: ZooKeeperClientConfiguration
    private let clients = Mutex<[Int: ZooKeeperClient]>([:])

    init(_ configuration: ZooKeeperClientConfiguration) {
        self.configuration = configuration
    }

    /// The client of a contender, connected.
    subscript(number: Int) -> ZooKeeperClient {
        get async throws {
            let client = try clients.withLock { clients in
                if let client = clients[number] { return client }
                let client = try ZooKeeperClient(configuration: configuration)
                clients[number] = client
                Task { try await client.run() }
                return client
            }
            for await state in client.states where state.isConnected { break }
            return client
        }
    }
}
