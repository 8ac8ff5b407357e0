/// Starts an ensemble, runs `body` with it, and ends the ensemble.
///
/// `body` starts when all members serve clients, after about two seconds. The processes of the members end with this
/// process, however it ends. If one of them ends by itself, the task of `body` is cancelled.
///
/// - Parameters:
///   - members: The number of servers, from 1 to 5.
///   - proxiedQuorum: Whether the servers reach one another through proxies. They can then be partitioned while clients
///     still reach them: see ``TestEnsemble/link(from:to:)``.
///   - distinctAddresses: Whether each member has its own loopback address: 127.0.0.1, 127.0.0.2 and so on.
///   - configuration: The configuration of each member.
///   - body: The operation that uses the ensemble.
/// - Returns: The result of `body`.
/// - Throws: As ``withTestServer(configuration:_:)``; ``TestKitError`` with code `.misuse` for another number of
///   members.
public func withTestEnsemble<Result>(
    members: Int = 3,
    proxiedQuorum: Bool = false,
    distinctAddresses: Bool = false,
    configuration: TestServerConfiguration = .init(),
    _ body: (TestEnsemble) async throws -> Result
) async throws -> Result {
    let plan = EnsemblePlan(
        members: members, proxiedQuorum: proxiedQuorum, distinctAddresses: distinctAddresses,
        configuration: configuration)
    let ensemble = try await plan.start()
    do {
        let result = try await whileServing(ensemble.members) { try await body(ensemble) }
        await ensemble.remove()
        return result
    } catch {
        await ensemble.remove()
        throw error
    }
}

/// The properties of an ensemble to start.
package struct EnsemblePlan: Sendable {
    /// The number of servers.
    package var members: Int
    /// Whether the servers reach one another through proxies.
    package var proxiedQuorum: Bool
    /// Whether each server has its own address.
    package var distinctAddresses: Bool
    /// The configuration of each server.
    package var configuration: TestServerConfiguration

    /// Creates a plan.
    package init(
        members: Int, proxiedQuorum: Bool, distinctAddresses: Bool, configuration: TestServerConfiguration
    ) {
        self.members = members
        self.proxiedQuorum = proxiedQuorum
        self.distinctAddresses = distinctAddresses
        self.configuration = configuration
    }

    /// The address and the ports of one member.
    private struct Place {
        var address: String
        var client: Int
        var quorum: Int
        var election: Int
    }

    /// Starts the ensemble, and retries with other ports if another process has taken one of its ports.
    package func start() async throws -> TestEnsemble {
        guard (1...5).contains(self.members) else {
            throw TestKitError(.misuse, "an ensemble has 1 to 5 members, not \(self.members)")
        }
        var attempt = 1
        while true {
            let ensemble = try self.prepare()
            do {
                for member in ensemble.members { try member.launch() }
                try await ensemble.waitUntilServing()
                return ensemble
            } catch {
                let lostPorts = ensemble.members.contains { $0.lostItsPort }
                await ensemble.remove()
                guard lostPorts, self.configuration.port == nil, attempt < 5 else { throw error }
                attempt += 1
            }
        }
    }

    private func prepare() throws -> TestEnsemble {
        let places = try (1...self.members).map { number in
            let address = self.distinctAddresses ? "127.0.0.\(number)" : "127.0.0.1"
            let ports = try Ports.free(3, on: address)
            let client = self.configuration.port.map { $0 + number - 1 } ?? ports[0]
            return Place(address: address, client: client, quorum: ports[1], election: ports[2])
        }
        let links = self.proxiedQuorum ? try self.makeLinks(places) : [:]
        let servers = try (1...self.members).map { number in
            try TestServer(
                number: number, address: places[number - 1].address, port: places[number - 1].client,
                peers: self.peers(of: number, places, links), configuration: self.configuration)
        }
        return TestEnsemble(members: servers, links: links)
    }

    /// Returns the lines that name all members in a member's configuration file.
    ///
    /// If there are proxies, they replace the addresses of the other members.
    private func peers(of number: Int, _ places: [Place], _ links: [TestLink.Ends: TestLink]) -> [String] {
        guard self.members > 1 else { return [] }
        return (1...self.members).map { other in
            if let link = links[TestLink.Ends(origin: number, destination: other)] {
                return "server.\(other)=\(link.quorum.address):\(link.quorum.port):\(link.election.port)"
            }
            let place = places[other - 1]
            return "server.\(other)=\(place.address):\(place.quorum):\(place.election)"
        }
    }

    /// Creates two proxies for each ordered pair of members.
    ///
    /// The election proxy announces its origin with the address of the proxy in the other direction, to which the
    /// destination calls back.
    private func makeLinks(_ places: [Place]) throws -> [TestLink.Ends: TestLink] {
        var listeners: [TestLink.Ends: (socket: Int32, port: Int)] = [:]
        for origin in 1...self.members {
            for destination in 1...self.members where destination != origin {
                listeners[TestLink.Ends(origin: origin, destination: destination)] = try Ports.listen()
            }
        }
        var links: [TestLink.Ends: TestLink] = [:]
        for (ends, listener) in listeners {
            let place = places[ends.destination - 1]
            let back = listeners[TestLink.Ends(origin: ends.destination, destination: ends.origin)]?.port ?? 0
            let quorum = ProxiedConnection.Plan(
                target: socketAddress(place.address, place.quorum), isFramed: false, patience: .seconds(2))
            let election = ProxiedConnection.Plan(
                target: socketAddress(place.address, place.election), isFramed: false,
                announcedAddress: "127.0.0.1:\(back)")
            links[ends] = TestLink(
                quorum: try FaultProxy(quorum), election: try FaultProxy(election, listener: listener))
        }
        return links
    }
}
