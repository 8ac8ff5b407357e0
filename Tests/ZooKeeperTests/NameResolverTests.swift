import Dispatch
import Synchronization
import Testing

@testable import ZooKeeper

@Suite(.timeLimit(.minutes(5)))
struct NameResolverTests {
    /// Answers from a table, and counts.
    private final class TableResolver: NameResolver {
        let table: [String: [String]]
        let asked = Mutex<[String]>([])

        init(_ table: [String: [String]]) {
            self.table = table
        }

        func resolve(_ host: String) async throws -> [String] {
            asked.withLock { $0.append(host) }
            guard let addresses = table[host] else { throw NameResolutionError(host: host, reason: "not in the table") }
            return addresses
        }
    }

    /// Answers nobody before all hosts have been asked for.
    private final class MeetingResolver: NameResolver {
        let expected: Int
        let count = Broadcast(0)
        let asked = Mutex(0)

        init(expected: Int) {
            self.expected = expected
        }

        func resolve(_ host: String) async throws -> [String] {
            asked.withLock { asked in
                asked += 1
                count.send(asked)
            }
            for await count in count.follow() where count == expected { break }
            return ["10.0.0.1"]
        }
    }

    @Test(arguments: ["127.0.0.1", "::1", "2001:db8::1", "fe80::1%lo", "0.0.0.0"])
    func `an IP literal is returned as it is, without a lookup`(literal: String) async throws {
        let resolver = SystemNameResolver { host in
            Issue.record("looked \(host) up")
            return .success([])
        }
        #expect(try await resolver.resolve(literal) == [literal])
    }

    @Test func `the system's resolver knows localhost, each address once`() async throws {
        let addresses = try await SystemNameResolver().resolve("localhost")
        #expect(!addresses.isEmpty)
        #expect(Set(addresses).isSubset(of: ["127.0.0.1", "::1"]))
        #expect(Set(addresses).count == addresses.count)
    }

    @Test func `a name that cannot be is an error that names it`() async throws {
        await #expect {
            try await SystemNameResolver().resolve("no..name")
        } throws: { error in
            (error as? NameResolutionError)?.host == "no..name" && "\(error)".contains("does not resolve")
        }
    }

    @Test func `cancellation returns while the lookup still blocks`() async throws {
        let gate = DispatchSemaphore(value: 0)
        let begun = OneShot<Void>()
        let resolver = SystemNameResolver { _ in
            begun.set(())
            gate.wait()
            return .success(["10.0.0.1"])
        }
        let resolving = Task { try await resolver.resolve("slow.example") }
        try await begun.wait()
        resolving.cancel()
        await #expect(throws: CancellationError.self) { try await resolving.value }
        gate.signal()
    }

    @Test func `who asks for a host that is being looked up joins that lookup`() async throws {
        let gate = DispatchSemaphore(value: 0)
        let begun = Broadcast(0)
        let resolver = SystemNameResolver { _ in
            begun.send(begun.current + 1)
            gate.wait()
            return .success(["10.0.0.\(begun.current)"])
        }
        let abandoned = Task { try await resolver.resolve("slow.example") }
        for await count in begun.follow() where count == 1 { break }
        abandoned.cancel()
        _ = await abandoned.result
        async let joined = resolver.resolve("slow.example")
        async let other = resolver.resolve("other.example")
        for await count in begun.follow() where count == 2 { break }
        gate.signal()
        gate.signal()
        #expect(try await joined == ["10.0.0.2"])
        #expect(try await other == ["10.0.0.2"])
        #expect(begun.current == 2)
    }

    @Test func `all hosts are resolved at the same time, each once`() async {
        let servers = (1...5).map { ServerAddress(host: "zk\($0)", port: 2181) }
        let answer = await resolveServers(servers, using: MeetingResolver(expected: 5))
        #expect(answer.addresses == ["10.0.0.1:2181"])
        let table = TableResolver(["zk1": ["10.0.0.1"]])
        let ports = [ServerAddress(host: "zk1", port: 1), ServerAddress(host: "zk1", port: 2)]
        #expect(Set(await resolveServers(ports, using: table).addresses) == ["10.0.0.1:1", "10.0.0.1:2"])
        #expect(table.asked.withLock { $0 } == ["zk1"])
    }

    @Test func `addresses are formatted with ports, IPv6 in brackets, each once`() async {
        let resolver = TableResolver(["a": ["10.0.0.1", "2001:db8::1"], "b": ["10.0.0.1"]])
        let servers = [ServerAddress(host: "a", port: 2181), ServerAddress(host: "b", port: 2181)]
        let answer = await resolveServers(servers, using: resolver)
        #expect(answer.addresses.count == 2)
        #expect(Set(answer.addresses) == ["10.0.0.1:2181", "[2001:db8::1]:2181"])
        #expect(answer.failures.isEmpty)
    }

    @Test func `a host that fails is left out and named`() async {
        let resolver = TableResolver(["good": ["10.0.0.1"]])
        let servers = [ServerAddress(host: "bad", port: 1), ServerAddress(host: "good", port: 2)]
        let answer = await resolveServers(servers, using: resolver)
        #expect(answer.addresses == ["10.0.0.1:2"])
        #expect(answer.failures == ["bad:1: \"bad\" does not resolve: not in the table"])
    }

    @Test func `the order is the generator's`() async {
        let resolver = TableResolver(["a": (1...20).map { "10.0.0.\($0)" }])
        let servers = [ServerAddress(host: "a", port: 1)]
        var first = SeededGenerator(seed: 7)
        var same = SeededGenerator(seed: 7)
        var other = SeededGenerator(seed: 8)
        let one = await resolveServers(servers, using: resolver, generator: &first).addresses
        let two = await resolveServers(servers, using: resolver, generator: &same).addresses
        let three = await resolveServers(servers, using: resolver, generator: &other).addresses
        #expect(one == two)
        #expect(one != three)
        #expect(Set(one) == Set(three))
    }

    @Test func `no servers give no addresses`() async {
        let answer = await resolveServers([], using: TableResolver([:]))
        #expect(answer.addresses.isEmpty && answer.failures.isEmpty)
    }
}

/// The same, in whatever order.
private func resolveServers(
    _ servers: [ServerAddress], using resolver: some NameResolver
) async -> (addresses: [String], failures: [String]) {
    var generator = Randomness()
    return await resolveServers(servers, using: resolver, generator: &generator)
}
