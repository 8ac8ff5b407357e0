internal import Dispatch
internal import Glibc
internal import Synchronization

/// Turns host names into addresses: the system's resolver, or a test's.
package protocol NameResolver: Sendable {
    /// Looks a host up.
    ///
    /// Returns at once when the task is cancelled.
    /// - Returns: IP literals, version 4 and 6, without brackets; at least one.
    /// - Throws: What the resolver says is wrong, or `CancellationError`.
    func resolve(_ host: String) async throws -> [String]
}

/// The system's resolver: `getaddrinfo`, on threads of its own.
///
/// A lookup can block for as long as the name servers take, so it never runs on the cooperative pool. A cancelled
/// caller leaves its lookup behind, and who asks for the same host meanwhile joins it: dead name servers hold at most
/// one thread a host. IP literals are not looked up.
package struct SystemNameResolver: NameResolver {
    typealias Answer = Result<[String], NameResolutionError>

    private final class Lookups: Sendable {
        let running = Mutex<[String: OneShot<Answer>]>([:])
    }

    private static let shared = Lookups()

    private let lookups: Lookups
    private let lookUp: @Sendable (String) -> Answer

    package init() {
        lookups = Self.shared
        lookUp = { Self.systemLookUp($0) }
    }

    /// For tests: another blocking lookup.
    init(lookUp: @escaping @Sendable (String) -> Answer) {
        lookups = Lookups()
        self.lookUp = lookUp
    }

    package func resolve(_ host: String) async throws -> [String] {
        if ServerAddress.isIPv4(host) || ServerAddress.isIPv6(host) { return [host] }
        try Task.checkCancellation()
        return try await lookup(of: host).wait().get()
    }

    private func lookup(of host: String) -> OneShot<Answer> {
        lookups.running.withLock { running in
            if let lookup = running[host] { return lookup }
            let lookup = OneShot<Answer>()
            running[host] = lookup
            start(lookup, of: host)
            return lookup
        }
    }

    /// A serial queue of its own gets a thread of its own; a concurrent one would share those of the cooperative pool.
    private func start(_ lookup: OneShot<Answer>, of host: String) {
        DispatchQueue(label: "zookeeper.name-resolver").async { [lookups, lookUp] in
            let answer = lookUp(host)
            lookups.running.withLock { _ = $0.removeValue(forKey: host) }
            lookup.set(answer)
        }
    }
}

extension SystemNameResolver {
    private static func systemLookUp(_ host: String) -> Answer {
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = AF_UNSPEC
        unsafe hints.ai_socktype = streamType
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            return .failure(NameResolutionError(host: host, reason: unsafe String(cString: gai_strerror(code))))
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [String] = []
        var next = unsafe list
        while let entry = unsafe next {
            if let address = unsafe numericHost(of: entry.pointee), !addresses.contains(address) {
                addresses.append(address)
            }
            unsafe next = entry.pointee.ai_next
        }
        guard !addresses.isEmpty else {
            return .failure(NameResolutionError(host: host, reason: "the name has no address"))
        }
        return .success(addresses)
    }

    private static let streamType = Int32(SOCK_STREAM.rawValue)

    private static func numericHost(of entry: addrinfo) -> String? {
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let code = unsafe getnameinfo(
            entry.ai_addr, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard code == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A host that could not be looked up.
package struct NameResolutionError: Error, Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var reason: String

    package init(host: String, reason: String) {
        self.host = host
        self.reason = reason
    }

    /// The host and why, in one line.
    package var description: String { "\"\(host)\" does not resolve: \(reason)" }
}

/// A struct and not a tuple: optimized code of Swift 6.3.1 crashes when a task group's child returns such a tuple.
private struct HostAnswer: Sendable {
    var host: String
    var answer: Result<[String], any Error>
}

/// Looks all servers up at the same time, each host once.
///
/// Hosts that fail are left out, so one dead name never hides the servers that can be reached. A cancelled task gets
/// failures for what was not answered yet.
///
/// - Returns: Addresses with ports, each once and in an order by the generator, IPv6 in brackets, as ``TransportEndpoint`` wants
///   them; and a line for each host that failed.
package func resolveServers(
    _ servers: [ServerAddress],
    using resolver: some NameResolver,
    generator: inout some RandomNumberGenerator
) async -> (addresses: [String], failures: [String]) {
    let hosts = Set(servers.map(\.host))
    let answers = await withTaskGroup(of: HostAnswer.self) { group in
        for host in hosts.sorted() {
            group.addTask {
                do { return HostAnswer(host: host, answer: .success(try await resolver.resolve(host))) } catch {
                    return HostAnswer(host: host, answer: .failure(error))
                }
            }
        }
        var answers: [String: Result<[String], any Error>] = [:]
        for await answer in group { answers[answer.host] = answer.answer }
        return answers
    }
    var addresses: Set<String> = []
    var failures: [String] = []
    for server in servers {
        switch answers[server.host] {
        case .success(let found):
            addresses.formUnion(found.map { ServerAddress(host: $0, port: server.port).description })
        case .failure(let error):
            let failure = "\(server): \(error)"
            if !failures.contains(failure) { failures.append(failure) }
        case nil: break
        }
    }
    return (addresses.sorted().shuffled(using: &generator), failures)
}
