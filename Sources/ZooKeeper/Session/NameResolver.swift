internal import Dispatch
internal import Glibc
internal import Synchronization

/// Resolves host names to addresses: the system's resolver, or a test's.
package protocol NameResolver: Sendable {
    /// Resolves a host name.
    ///
    /// If the task is cancelled, it returns immediately.
    ///
    /// - Returns: IP literals, version 4 and 6, without brackets; at least one.
    /// - Throws: The error of the resolver, or `CancellationError`.
    func resolve(_ host: String) async throws -> [String]
}

/// The system's resolver: `getaddrinfo`, on separate threads.
///
/// A lookup can block for as long as the name servers take, so it never runs on the cooperative pool. If a caller is
/// cancelled, its lookup continues, and later callers that ask for the same host share it. Name servers that do not
/// answer therefore block at most one thread per host. IP literals are not looked up.
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

    /// Creates a resolver with a different blocking lookup, for tests.
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

    /// Starts a lookup on a serial queue, which has its own thread.
    ///
    /// A concurrent queue would share the threads of the cooperative pool.
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

/// The error of a host name that could not be resolved.
package struct NameResolutionError: Error, Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var reason: String

    package init(host: String, reason: String) {
        self.host = host
        self.reason = reason
    }

    /// The host and the reason, in one line.
    package var description: String { "\"\(host)\" does not resolve: \(reason)" }
}

/// The result of one host.
///
/// This is a struct instead of a tuple, because optimized code of Swift 6.3.1 crashes when a child task of a task group
/// returns such a tuple.
private struct HostAnswer: Sendable {
    var host: String
    var answer: Result<[String], any Error>
}

/// Resolves all servers at the same time, each host once.
///
/// Hosts that fail are omitted, so a name that does not resolve never hides the servers that can be reached. If the
/// task is cancelled, the hosts that were not answered yet fail.
///
/// - Returns: The addresses with ports, without duplicates and shuffled by the generator, with IPv6 in brackets, as
///   ``TransportEndpoint`` expects them; and one line for each host that failed.
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
