import ArgumentParser
import CommandLineSupport
import FlyingFox
import FlyingSocks
import FoundationEssentials
import Glibc
import Synchronization
import ZooKeeper

/// An IP address and a port to listen on.
struct ListenAddress: Sendable {
    /// The address as it was written.
    var text: String
    var socket: any SocketAddress

    static func parse(_ argument: String) throws -> ListenAddress {
        guard let colon = argument.lastIndex(of: ":"), let port = UInt16(argument[argument.index(after: colon)...]),
            let address = address(String(argument[..<colon]), port: port)
        else { throw ValidationError("it must be an IP address and a port, such as 127.0.0.1:9100 or [::1]:9100") }
        return ListenAddress(text: argument, socket: address)
    }

    /// Whether only programs on this host can connect to the address.
    var isLoopback: Bool { Diagnosis.isLoopback(text) }

    private static func address(_ host: String, port: UInt16) -> (any SocketAddress)? {
        guard host.hasPrefix("["), host.hasSuffix("]") else { return try? sockaddr_in.inet(ip4: host, port: port) }
        return try? sockaddr_in6.inet6(ip6: String(host.dropFirst().dropLast()), port: port)
    }
}

/// An HTTP server that runs while an operation of the program runs.
struct ListeningServer: Sendable {
    /// The error if the server cannot listen.
    struct Refusal: Error, CustomStringConvertible {
        var description: String
    }

    let handler: any HTTPHandler
    /// The option with the address, for error messages.
    let option: String
    /// The time after which the answer to a request is given up.
    var handlerTimeout = Duration.seconds(15)

    /// Runs an operation, which starts once the server listens, and serves requests until the operation has ended.
    ///
    /// If the server fails later, that is reported, and the operation continues.
    ///
    /// - Parameter listens: Called with the address and the port that the server listens on, before the operation.
    /// - Throws: ``Refusal`` if the server cannot listen; the error of the operation.
    func serve<Result: Sendable>(
        at address: ListenAddress, listens: @Sendable (String) -> Void,
        _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let server = server(at: address.socket)
        let (listening, failure) = (OneShot<Void>(), OneShot<Refusal>())
        return try await alongside({
            do {
                try await server.run()
            } catch {
                guard !Task.isCancelled else { return }
                let refusal = Refusal(description: "cannot serve \(option) \(address.text): \(Self.reason(of: error))")
                failure.set(refusal)
                if listening.value != nil { Output.report("\(refusal)") }
            }
        }) {
            try await race({ try await server.waitUntilListening() }, { throw try await failure.wait() })
            listening.set(())
            listens(await server.listeningText ?? address.text)
            return try await operation()
        }
    }

    private func server(at address: some SocketAddress) -> HTTPServer {
        HTTPServer(
            config: HTTPServer.Configuration(
                address: address, timeout: handlerTimeout / .seconds(1),
                pool: PatientSocketPool(base: HTTPServer.defaultPool()), logger: DisabledLogger.disabled),
            handler: handler)
    }

    private static func reason(of error: any Error) -> String {
        if case .failed(_, _, let message)? = error as? SocketError { return message }
        return "\(error)"
    }
}

/// Closes connections of clients that neither read nor send for a long time, and those beyond a limit.
///
/// A client that does not read its answers would otherwise keep its connection as long as it exists.
final class PatientSocketPool<Base: AsyncSocketPool>: AsyncSocketPool {
    let base: Base
    /// The number of connections that wait for their client at the same time.
    static var maximum: Int { 256 }
    /// The time for which a client may not read its answer.
    let writeTimeout = Duration.seconds(30)
    /// The time for which a client may send no request, or no further part of one.
    let readTimeout = Duration.seconds(120)
    private let waiting = Atomic(0)

    init(base: Base) { self.base = base }

    func prepare() async throws { try await base.prepare() }

    func run() async throws { try await base.run() }

    @concurrent
    func suspendSocket(_ socket: Socket, untilReadyFor events: Socket.Events) async throws {
        // The listening socket waits for both.
        guard events == .read || events == .write else {
            return try await base.suspendSocket(socket, untilReadyFor: events)
        }
        defer { waiting.subtract(1, ordering: .relaxed) }
        guard waiting.add(1, ordering: .relaxed).newValue <= Self.maximum else { throw SocketError.disconnected }
        let clock = SystemMonotonicClock()
        let deadline = clock.now + (events == .write ? writeTimeout : readTimeout)
        let isReady: Void? = try await clock.run(until: deadline) { [base] in
            try await base.suspendSocket(socket, untilReadyFor: events)
        }
        guard isReady != nil else { throw SocketError.disconnected }
    }
}

extension HTTPRequest {
    /// Reads the body to its end, so that the connection can be used for the next request.
    ///
    /// - Returns: `nil` if the body is longer than the limit.
    func body(atMost limit: Int) async throws -> Data? {
        var body = Data()
        for try await part in bodySequence where body.count <= limit { body.append(part) }
        return body.count <= limit ? body : nil
    }
}

extension HTTPServer {
    /// The address and the port that the server listens on; `nil` if it does not.
    fileprivate var listeningText: String? {
        switch listeningAddress {
        case .ip4(let address, let port): "\(address):\(port)"
        case .ip6(let address, let port): "[\(address)]:\(port)"
        case .unix, nil: nil
        }
    }
}
