import CZooKeeper
import ZooKeeperTransport

extension TransportEndpoint {
    /// Returns the servers in the format of the C library, or throws the reason why it cannot use them.
    ///
    /// The library expects IPv6 addresses without brackets. With an even number of servers it tries only half of them,
    /// without end and without a pause, so one is listed twice in this case. Names are refused, because the library
    /// would resolve them itself.
    func libraryServers() throws(InvalidServer) -> String {
        guard let first = servers.first else { throw InvalidServer(text: "no server was given") }
        var all = try servers.map { server throws(InvalidServer) in try Self.libraryServer(server) }
        if all.count.isMultiple(of: 2) {
            all.append(try Self.libraryServer(first))
        }
        return all.joined(separator: ",")
    }

    private static func libraryServer(_ server: String) throws(InvalidServer) -> String {
        guard let colon = server.lastIndex(of: ":"), let port = UInt16(server[server.index(after: colon)...]), port > 0
        else { throw InvalidServer(text: "\(server) has no port") }
        var host = server[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        let address = host.prefix { $0 != "%" }
        guard unsafe String(address).withCString({ unsafe zkb_is_ip_literal($0) == 1 }) else {
            throw InvalidServer(text: "\(server) is not an IP address with a port")
        }
        return "\(host):\(port)"
    }
}

/// The reason why a server cannot be passed to the C library.
struct InvalidServer: Error {
    var text: String
}
