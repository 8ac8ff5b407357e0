/// An ensemble of real ZooKeeper servers on loopback, each in its own process.
///
/// ``withTestEnsemble(members:proxiedQuorum:distinctAddresses:configuration:_:)`` and the suite trait
/// `.ensemble(members:)` start an ensemble. Each member is a ``TestServer`` that can be stopped, killed and frozen
/// separately.
public final class TestEnsemble: Sendable, CustomStringConvertible {
    /// The members, sorted by their numbers from 1.
    public let members: [TestServer]
    /// The links by their ordered pairs of member numbers; empty without proxies.
    private let links: [TestLink.Ends: TestLink]

    /// The ensemble that the trait of the suite has started.
    ///
    /// Accessing this property in a task that does not belong to such a suite is a programming error.
    public static var current: TestEnsemble {
        guard let ensemble = Self.currentEnsemble else {
            preconditionFailure("TestEnsemble.current is for suites with the trait .ensemble(members:)")
        }
        return ensemble
    }

    /// The task-local value of ``current``.
    @TaskLocal package static var currentEnsemble: TestEnsemble?

    init(members: [TestServer], links: [TestLink.Ends: TestLink]) {
        self.members = members
        self.links = links
    }

    /// The connection string for a client that may connect to any member.
    public var connectionString: String { self.members.map(\.connectionString).joined(separator: ",") }
    /// A description with the connection string.
    public var description: String { "ensemble \(self.connectionString)" }

    /// The member at an index from 0.
    ///
    /// Its ``TestServer/number`` is the index plus one.
    public subscript(_ index: Int) -> TestServer { self.members[index] }

    /// Waits until there is a leader, and returns it.
    ///
    /// A leader that has lost its followers considers itself the leader for up to ``TestServerConfiguration/syncLimit``
    /// ticks. If two members claim to lead, this method returns the one with the higher epoch.
    ///
    /// - Returns: The member that leads.
    /// - Throws: ``TestKitError`` with code `.noResponse` if no member leads within
    ///   ``TestServerConfiguration/startTimeout``; `CancellationError`.
    /// - Complexity: 1 four-letter-word command to each member, every 20 ms until there is a leader.
    public func leader() async throws -> TestServer {
        let limit = ContinuousClock.now + self.members[0].configuration.startTimeout
        while true {
            let leaders = await self.members(in: .leader)
            if leaders.count == 1 { return leaders[0] }
            if leaders.count > 1 { return await Self.newest(of: leaders) }
            guard ContinuousClock.now < limit else { throw TestKitError(.noResponse, "\(self) has no leader") }
            // Servers do not notify about the end of an election.
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Returns the members that are followers now.
    ///
    /// - Complexity: 1 four-letter-word command to each member, all at the same time.
    public func followers() async -> [TestServer] { await self.members(in: .follower) }

    /// Waits until every member serves clients.
    ///
    /// - Throws: ``TestKitError`` with code `.startFailed`; `CancellationError`.
    /// - Complexity: As ``TestServer/waitUntilServing()`` for each member, one after the other.
    public func waitUntilServing() async throws {
        for member in self.members { try await member.waitUntilServing() }
    }

    /// Returns the sum of a counter over all members that answer.
    ///
    /// - Parameter counter: A closure that selects the counter, such as the number of requests.
    /// - Complexity: 1 four-letter-word command to each member, one after the other.
    public func total(_ counter: (TestServerCounters) -> Int) async -> Int {
        var total = 0
        for member in self.members {
            if let counters = try? await member.counters() { total += counter(counters) }
        }
        return total
    }

    /// Ends a session on the server; see ``expireSession(id:password:on:)``.
    ///
    /// - Parameters:
    ///   - id: The ID of the session.
    ///   - password: The password of the session.
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` or `.noResponse`.
    /// - Complexity: 2 requests in 2 round trips, on a new connection.
    public func expireSession(id: Int64, password: [UInt8]) async throws {
        try await ZooKeeperTestKit.expireSession(id: id, password: password, on: self.connectionString)
    }

    private func members(in state: TestServerState) async -> [TestServer] {
        await withTaskGroup(of: TestServer?.self) { group in
            for member in self.members {
                group.addTask { await member.state() == state ? member : nil }
            }
            return await group.reduce(into: []) { found, member in
                if let member { found.append(member) }
            }.sorted { $0.number < $1.number }
        }
    }

    /// Returns the leader whose last transaction has the highest epoch.
    private static func newest(of leaders: [TestServer]) async -> TestServer {
        var newest = (server: leaders[0], zxid: Int64(-1))
        for leader in leaders {
            let zxid = (try? await leader.lastTransaction()) ?? -1
            if zxid > newest.zxid { newest = (leader, zxid) }
        }
        return newest.server
    }

    /// Ends all members and their proxies, and removes their data.
    func remove() async {
        for member in self.members { await member.remove() }
        for link in self.links.values { await link.close() }
    }
}

// MARK: Links between members

extension TestEnsemble {
    /// Returns the link through which one member reaches another, for an ensemble with `proxiedQuorum`.
    ///
    /// The relevant connection between a follower and its leader is made by the follower. So it runs through
    /// `link(from: follower, to: leader)`: the follower's acknowledgements in the direction `.toServer`, and the
    /// leader's proposals and commits in the direction `.toClient`.
    ///
    /// The two must be different members of this ensemble, and the ensemble must have proxies. Anything else is a
    /// programming error.
    /// - Parameters:
    ///   - origin: The member that connects.
    ///   - destination: The member that it connects to.
    public func link(from origin: TestServer, to destination: TestServer) -> TestLink {
        guard let link = self.links[TestLink.Ends(origin: origin.number, destination: destination.number)] else {
            preconditionFailure("no link from \(origin) to \(destination): is the ensemble's proxiedQuorum set?")
        }
        return link
    }

    /// Silences the network between two members in both directions, as if every packet were lost.
    ///
    /// No connection is reset: both members notice the loss by their own timeouts. Clients still reach both.
    /// - Parameters:
    ///   - one: A member.
    ///   - other: Another member.
    public func cut(between one: TestServer, and other: TestServer) async {
        await self.link(from: one, to: other).hold(.both)
        await self.link(from: other, to: one).hold(.both)
    }

    /// Silences the network between a member and all others.
    ///
    /// - Parameter member: The member to isolate.
    public func isolate(_ member: TestServer) async {
        for other in self.members where other !== member { await self.cut(between: member, and: other) }
    }

    /// Ends all silences; the bytes that were held back arrive, as after a network outage.
    public func heal() async {
        for link in self.links.values { await link.release() }
    }
}

/// The link through which one member of an ensemble reaches another: a proxy for the quorum port and one for elections.
///
/// Its connections are those that the origin makes. The connections of the other member are on the link in the other
/// direction.
public final class TestLink: Sendable {
    struct Ends: Hashable, Sendable {
        var origin: Int
        var destination: Int
    }

    /// The proxy in front of the destination's quorum port: proposals, acknowledgements, commits, pings.
    public let quorum: FaultProxy
    /// The proxy in front of the destination's election port.
    public let election: FaultProxy

    init(quorum: FaultProxy, election: FaultProxy) {
        self.quorum = quorum
        self.election = election
    }

    /// Holds all bytes back.
    ///
    /// - Parameter direction: The direction to hold; `.toServer` is from the origin to the destination. Default: both
    ///   directions.
    public func hold(_ direction: ProxyDirection = .both) async {
        await self.quorum.hold(direction)
        await self.election.hold(direction)
    }

    /// Forwards the bytes that were held back, and all further bytes.
    public func release() async {
        await self.quorum.release()
        await self.election.release()
    }

    /// Resets the connections; the servers reconnect.
    public func cut() async {
        await self.quorum.cut()
        await self.election.cut()
    }

    func close() async {
        await self.quorum.close()
        await self.election.close()
    }
}
