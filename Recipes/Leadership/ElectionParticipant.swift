public import ZooKeeper

/// A participant in an election, as its queue shows it.
public struct ElectionParticipant: Sendable, Hashable, CustomStringConvertible {
    /// The ID of the participant, which is the data of its candidate znode.
    @ZNodeName public var id: String
    /// Whether the participant is at the front of the queue: it leads or is about to.
    public var isLeader: Bool
    /// The name of the participant's candidate znode in the queue.
    @ZNodeName public var znode: String
    /// The session that owns the candidate znode.
    public var session: SessionID?

    /// Creates a participant, for tests.
    public init(id: String, isLeader: Bool, znode: String, session: SessionID? = nil) {
        self.id = id
        self.isLeader = isLeader
        self.znode = znode
        self.session = session
    }

    /// The ID, and whether the participant leads.
    public var description: String { isLeader ? "\(id) (leader)" : id }
}

extension LeaderSelector {
    /// Returns all participants in the order of the queue, the leader first.
    ///
    /// As in Apache Curator, participants that leave while the queue is read are left out. Without participants, the
    /// list is empty.
    /// - Throws: `ZooKeeperError`, such as `.noAuth` if a candidate znode cannot be read; `CancellationError`.
    /// - Complexity: One listing, then one read for each participant, in batches of 64. Each batch takes 1 round trip.
    public func participants() async throws -> [ElectionParticipant] {
        try await Self.participants(client: election.client, path: path)
    }

    /// Returns the participant at the front of the queue, or `nil` if there are no participants.
    ///
    /// - Throws: `ZooKeeperError`, such as `.noAuth` if the candidate znode cannot be read; `CancellationError`.
    /// - Complexity: 2 requests in 2 round trips; 3 while a transfer is in progress.
    public func leader() async throws -> ElectionParticipant? {
        try await Self.leader(client: election.client, path: path)
    }

    /// Returns all participants of an election, for clients that do not take part.
    ///
    /// It also works for the election of a ``LeaderLatch``.
    /// - Parameters:
    ///   - client: The client that reads the queue.
    ///   - path: The directory of the election. It does not have to exist.
    /// - Returns: The participants in the order of the queue, the leader first.
    /// - Throws: `ZooKeeperError`, such as `.noAuth` if a candidate znode cannot be read; `CancellationError`.
    /// - Complexity: One listing, then one read for each participant, in batches of 64. Each batch takes 1 round trip.
    public static func participants(client: ZooKeeperClient, path: String) async throws -> [ElectionParticipant] {
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

    /// Returns the participant at the front of an election's queue, for clients that do not take part.
    ///
    /// - Parameters:
    ///   - client: The client that reads the queue.
    ///   - path: The directory of the election. It does not have to exist.
    /// - Returns: The participant, or `nil` if there are no participants.
    /// - Throws: `ZooKeeperError`, such as `.noAuth` if the candidate znode cannot be read; `CancellationError`.
    /// - Complexity: 2 requests in 2 round trips; 3 while a transfer is in progress.
    public static func leader(client: ZooKeeperClient, path: String) async throws -> ElectionParticipant? {
        try await client.recipeSteps { try await Candidate.first(in: path, client: client) }?
            .participant(isLeader: true)
    }
}

/// A candidate znode that was read.
struct Candidate: Sendable, Comparable {
    var name: ContenderName
    var id: String
    var stat: ZNodeStat

    init(name: ContenderName, data: [UInt8], stat: ZNodeStat) {
        (self.name, self.stat) = (name, stat)
        id = String(decoding: data, as: UTF8.self)
    }

    static func == (left: Candidate, right: Candidate) -> Bool { left.name == right.name && left.stat == right.stat }

    /// Compares two candidates by their positions in the queue.
    ///
    /// A candidate that accepted a transfer has the number of the leader that offered it, and was created later.
    static func < (left: Candidate, right: Candidate) -> Bool {
        (left.name.number, left.stat.czxid) < (right.name.number, right.stat.czxid)
    }

    func participant(isLeader: Bool) -> ElectionParticipant {
        ElectionParticipant(id: id, isLeader: isLeader, znode: name.string, session: stat.ephemeralOwner)
    }

    /// Returns the names in an election's queue in order, except among names with the same number.
    static func all(in path: String, client: ZooKeeperClient) async throws -> [ContenderName] {
        try await client.sortedChildren(of: path).compactMap(ContenderName.init)
            .sorted { ($0.number, ZNodeName($0.string)) < ($1.number, ZNodeName($1.string)) }
    }

    /// Returns the candidate at the front of the queue.
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

    /// Whether all candidates at the front still existed when they were read after the listing.
    ///
    /// If one is missing, a transfer may have put another candidate at the front that was not listed. The next
    /// candidate in the list is then not the leader.
    static func areAll(_ found: [Candidate], of names: some Collection<ContenderName>) -> Bool {
        names.allSatisfy { name in found.contains { $0.name == name } }
    }

    /// Reads one candidate, or returns `nil` if it no longer exists.
    static func read(_ name: ContenderName, in path: String, client: ZooKeeperClient) async throws -> Candidate? {
        try await client.dataIfExists(at: ZNodePath.child(name, of: path)).map {
            Candidate(name: name, data: $0.data, stat: $0.stat)
        }
    }
}

extension [ContenderName] {
    /// The names with the lowest number, in the order of the queue.
    ///
    /// There is one, or two during a transfer: the leader and the participant that it transfers its leadership to.
    fileprivate var inFront: ArraySlice<ContenderName> {
        prefix { $0.number == first?.number }
    }
}
