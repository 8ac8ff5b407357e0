/// An ensemble of real ZooKeeper servers, each in a process of its own, on loopback.
///
/// ``withTestEnsemble(members:proxiedQuorum:distinctAddresses:configuration:_:)`` and the suite trait `.ensemble(members:)`
/// start one. Each member is a ``TestServer`` and is stopped, killed and frozen by itself.
public final class TestEnsemble: Sendable, CustomStringConvertible {
    /// The members, the one with the number 1 first.
    public let members: [TestServer]
    /// The links by their ordered pair of numbers; empty without proxies.
    private let links: [TestLink.Ends: TestLink]

    /// The ensemble that the suite's trait has started, if the current task belongs to such a suite.
    public static var current: TestEnsemble {
        guard let ensemble = Self.currentEnsemble else {
            preconditionFailure("TestEnsemble.current is for suites with the trait .ensemble(members:)")
        }
        return ensemble
    }

    /// What ``current`` is taken from.
    @TaskLocal package static var currentEnsemble: TestEnsemble?

    init(members: [TestServer], links: [TestLink.Ends: TestLink]) {
        self.members = members
        self.links = links
    }

    /// What a client is given to connect to any of the members.
    public var connectionString: String { self.members.map(\.connectionString).joined(separator: ",") }
    /// The connection string.
    public var description: String { "ensemble \(self.connectionString)" }

    /// The member at an index from 0.
    ///
    /// Its ``TestServer/number`` is one more.
    public subscript(_ index: Int) -> TestServer { self.members[index] }

    /// The member that leads.
    ///
    /// Waits until there is one.
    ///
    /// A leader that has lost its followers takes itself for the leader for up to ``TestServerConfiguration/syncLimit``
    /// ticks; of two that claim it, the one with the higher epoch is returned.
    ///
    /// - Throws: ``TestKitError`` with code `.noAnswer` when nobody leads within
    ///   ``TestServerConfiguration/readinessLimit``; `CancellationError`.
    public func leader() async throws -> TestServer {
        let limit = ContinuousClock.now + self.members[0].configuration.readinessLimit
        while true {
            let leaders = await self.members(in: .leader)
            if leaders.count == 1 { return leaders[0] }
            if leaders.count > 1 { return await Self.newest(of: leaders) }
            guard ContinuousClock.now < limit else { throw TestKitError(.noAnswer, "\(self) has no leader") }
            // Servers tell nobody of an election's end.
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The members that follow now.
    public func followers() async -> [TestServer] { await self.members(in: .follower) }

    /// Waits until every member serves.
    ///
    /// - Throws: ``TestKitError`` with code `.startFailed`; `CancellationError`.
    public func waitUntilServing() async throws {
        for member in self.members { try await member.waitUntilServing() }
    }

    /// The counters of all members that answer, added up: of requests, for example.
    public func total(_ counter: (TestServerCounters) -> Int) async -> Int {
        var total = 0
        for member in self.members {
            if let counters = try? await member.counters() { total += counter(counters) }
        }
        return total
    }

    /// Ends a session for real: see ``expireSession(id:password:on:)``.
    ///
    /// - Throws: ``TestKitError`` with code `.sessionNotFound` or `.noAnswer`.
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

    /// The one whose last transaction is of the highest epoch.
    private static func newest(of leaders: [TestServer]) async -> TestServer {
        var newest = (server: leaders[0], zxid: Int64(-1))
        for leader in leaders {
            let zxid = (try? await leader.lastTransaction()) ?? -1
            if zxid > newest.zxid { newest = (leader, zxid) }
        }
        return newest.server
    }

    /// Ends all members, their proxies and their data.
    func remove() async {
        for member in self.members { await member.remove() }
        for link in self.links.values { await link.close() }
    }
}

// MARK: Links between members

extension TestEnsemble {
    /// The way on which one member reaches another, for an ensemble with `proxiedQuorum`.
    ///
    /// Between a follower and its leader the connection that counts is made by the follower, so that it runs through
    /// `link(from: follower, to: leader)`: its acknowledgements in the direction `.toServer`, the leader's proposals and
    /// commits in the direction `.toClient`.
    ///
    /// The two must be different members of this ensemble, and it must have proxies: else this is a programmer's error.
    public func link(from origin: TestServer, to destination: TestServer) -> TestLink {
        guard let link = self.links[TestLink.Ends(origin: origin.number, destination: destination.number)] else {
            preconditionFailure("no link from \(origin) to \(destination): is the ensemble's proxiedQuorum set?")
        }
        return link
    }

    /// Silences everything between two members, both ways, as a network does that loses every packet.
    ///
    /// Nothing is reset: both notice by their own timeouts. Clients still reach both.
    public func cut(between one: TestServer, and other: TestServer) async {
        await self.link(from: one, to: other).hold(.both)
        await self.link(from: other, to: one).hold(.both)
    }

    /// Silences everything between a member and all others.
    public func isolate(_ member: TestServer) async {
        for other in self.members where other !== member { await self.cut(between: member, and: other) }
    }

    /// Ends every silence: what was held back arrives, as it does after a network's outage.
    public func heal() async {
        for link in self.links.values { await link.release() }
    }
}

/// The way on which one member of an ensemble reaches another: a proxy for the quorum's port and one for elections.
///
/// The connections are those that the origin makes; the other's are on the link in the other direction.
public final class TestLink: Sendable {
    struct Ends: Hashable, Sendable {
        var origin: Int
        var destination: Int
    }

    /// In front of the destination's port for followers: proposals, acknowledgements, commits, pings.
    public let quorum: FaultProxy
    /// In front of the destination's port for elections.
    public let election: FaultProxy

    init(quorum: FaultProxy, election: FaultProxy) {
        self.quorum = quorum
        self.election = election
    }

    /// Holds everything back: `.toServer` is the way from the origin to the destination.
    public func hold(_ direction: ProxyDirection = .both) async {
        await self.quorum.hold(direction)
        await self.election.hold(direction)
    }

    /// Lets everything go on.
    public func release() async {
        await self.quorum.release()
        await self.election.release()
    }

    /// Resets the connections; the servers make new ones.
    public func cut() async {
        await self.quorum.cut()
        await self.election.cut()
    }

    func close() async {
        await self.quorum.close()
        await self.election.close()
    }
}
