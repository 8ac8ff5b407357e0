public import ZooKeeper

/// Somebody who takes part in an election, as its queue shows.
public struct ElectionParticipant: Sendable, Hashable, CustomStringConvertible {
    /// What names it to others: its candidate's data.
    @ZNodeName public var id: String
    /// Whether it stands in front of the queue: it leads, or is about to.
    public var isLeader: Bool
    /// The name of its candidate in the queue.
    @ZNodeName public var candidate: String
    /// The session that the candidate belongs to.
    public var session: SessionID?

    /// Makes a participant, for tests.
    public init(id: String, isLeader: Bool, candidate: String, session: SessionID? = nil) {
        self.id = id
        self.isLeader = isLeader
        self.candidate = candidate
        self.session = session
    }

    /// The id, and whether it leads.
    public var description: String { isLeader ? "\(id) (leader)" : id }
}

extension LeaderSelector {
    /// Everybody who takes part, in the order of the queue: the first one leads.
    ///
    /// As Apache Curator lists them: those who vanish meanwhile are left out. Without anybody the list is empty.
    /// - Throws: `ZooKeeperError`, such as `.noAuth` when a candidate may not be read; `CancellationError`.
    /// - Complexity: One listing, and one read for each participant.
    public func participants() async throws -> [ElectionParticipant] {
        try await Self.participants(at: path, client: election.client)
    }

    /// Who stands in front of the queue; `nil` when nobody takes part.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` when the candidate may not be read; `CancellationError`.
    /// - Complexity: One listing and one read.
    public func leader() async throws -> ElectionParticipant? {
        try await Self.leader(at: path, client: election.client)
    }

    /// Everybody who takes part in an election, for those who do not; also in a ``LeaderLatch``'s.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` when a candidate may not be read; `CancellationError`.
    /// - Complexity: One listing, and one read for each participant.
    public static func participants(at path: String, client: ZooKeeperClient) async throws -> [ElectionParticipant] {
        try await client.recipeSteps { try await readParticipants(at: path, client: client) }
    }

    private static func readParticipants(
        at path: String, client: ZooKeeperClient
    ) async throws -> [ElectionParticipant] {
        while true {
            let names = try await Candidate.all(in: path, client: client)
            let children = try await client.readChildren(names.map(\.string), of: path)
            let found = try children.compactMap { child in
                try ContenderName(child.name).map {
                    Candidate(name: $0, data: try child.read(), stat: child.stat)
                }
            }.sorted()
            guard Candidate.areAll(found, of: names.inFront) else { continue }
            return found.enumerated().map { $1.participant(isLeader: $0 == 0) }
        }
    }

    /// Who stands in front of an election's queue, for those who do not take part; `nil` when nobody does.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` when the candidate may not be read; `CancellationError`.
    /// - Complexity: One listing and one read.
    public static func leader(at path: String, client: ZooKeeperClient) async throws -> ElectionParticipant? {
        try await client.recipeSteps { try await Candidate.first(in: path, client: client) }?
            .participant(isLeader: true)
    }
}

/// A candidate that was read.
struct Candidate: Sendable, Comparable {
    var name: ContenderName
    var id: String
    var stat: ZNodeStat

    init(name: ContenderName, data: [UInt8], stat: ZNodeStat) {
        (self.name, self.stat) = (name, stat)
        id = String(decoding: data, as: UTF8.self)
    }

    static func == (left: Candidate, right: Candidate) -> Bool { left.name == right.name && left.stat == right.stat }

    /// The order of the queue: a transferred place has its giver's number, and was created later.
    static func < (left: Candidate, right: Candidate) -> Bool {
        (left.name.number, left.stat.czxid) < (right.name.number, right.stat.czxid)
    }

    func participant(isLeader: Bool) -> ElectionParticipant {
        ElectionParticipant(id: id, isLeader: isLeader, candidate: name.string, session: stat.ephemeralOwner)
    }

    /// The names in an election's queue, in its order but for those of one number.
    static func all(in path: String, client: ZooKeeperClient) async throws -> [ContenderName] {
        try await client.sortedChildren(of: path).compactMap(ContenderName.init)
            .sorted { ($0.number, ZNodeName($0.string)) < ($1.number, ZNodeName($1.string)) }
    }

    /// Who stands in front.
    static func first(in path: String, client: ZooKeeperClient) async throws -> Candidate? {
        while true {
            let names = try await all(in: path, client: client).inFront
            var found: [Candidate] = []
            for name in names {
                if let candidate = try await read(name, in: path, client: client) { found.append(candidate) }
            }
            if areAll(found, of: names) { return found.min() }
        }
    }

    /// Whether nobody of those in front has vanished since they were listed: with a transfer somebody else stands there
    /// now, who was not listed, and not the next in the list.
    static func areAll(_ found: [Candidate], of names: some Collection<ContenderName>) -> Bool {
        names.allSatisfy { name in found.contains { $0.name == name } }
    }

    /// Reads one; `nil` when it has vanished.
    static func read(_ name: ContenderName, in path: String, client: ZooKeeperClient) async throws -> Candidate? {
        try await client.dataIfPresent(at: ZNodePath.child(name, of: path)).map {
            Candidate(name: name, data: $0.data, stat: $0.stat)
        }
    }
}

extension [ContenderName] {
    /// Those of the lowest number, in a queue's order: one, or a leader and whom it transfers its place to.
    fileprivate var inFront: ArraySlice<ContenderName> {
        prefix { $0.number == first?.number }
    }
}
