import ArgumentParser
import CommandLineSupport
import FlyingFox
import FlyingSocks
import FoundationEssentials
import Glibc
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
    var limits = HTTPListener.Limits()

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
        let listener: HTTPListener
        do {
            listener = try HTTPListener(at: address.socket, limits: limits, handler: handler)
        } catch { throw refusal(at: address, error) }
        return try await alongside({
            do { try await listener.run() } catch {
                if !Task.isCancelled { Output.report("\(refusal(at: address, error))") }
            }
        }) {
            listens(listener.text)
            return try await operation()
        }
    }

    private func refusal(at address: ListenAddress, _ error: any Error) -> Refusal {
        var reason = "\(error)"
        if case .failed(_, _, let message)? = error as? SocketError { reason = message }
        return Refusal(description: "cannot serve \(option) \(address.text): \(reason)")
    }
}
