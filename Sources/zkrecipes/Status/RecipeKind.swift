/// A kind of recipe, as its znodes show it.
enum RecipeKind: String, Sendable, Hashable, CaseIterable, Encodable {
    case mutex
    case readWriteLock = "read-write-lock"
    case semaphore
    case leaderElection = "leader-election"
    case leaderLatch = "leader-latch"
    case exclusiveMode = "exclusive-mode"
    case partitionGroup = "partition-group"
    case scheduledTask = "scheduled-task"
    case group
    case doubleBarrier = "double-barrier"
    /// A znode without children, such as a barrier or a counter.
    case znode

    /// The kind in the words of a sentence.
    var title: String {
        switch self {
        case .mutex: "mutex"
        case .readWriteLock: "read-write lock"
        case .semaphore: "semaphore"
        case .leaderElection: "leader election"
        case .leaderLatch: "leader latch"
        case .exclusiveMode: "exclusive mode"
        case .partitionGroup: "partition group"
        case .scheduledTask: "scheduled task"
        case .group: "group"
        case .doubleBarrier: "double barrier"
        case .znode: "znode without children"
        }
    }

    /// The children that belong to the recipe itself, if it has a fixed structure.
    ///
    /// A search for recipes continues below the other children only.
    var ownChildren: Set<String>? {
        switch self {
        case .semaphore: ["locks", "leases"]
        case .exclusiveMode: ["signal", "locks", "locks-requests", "members", "windows"]
        case .partitionGroup: ["members", "cordons", "partitions"]
        case .scheduledTask: ["leader", "leader-epoch", "leader-requests", "runs", "control", "clock"]
        case .mutex, .readWriteLock, .leaderElection, .leaderLatch, .group, .doubleBarrier, .znode: nil
        }
    }
}

extension RecipeKind {
    /// Recognizes a recipe by the names of a znode's children.
    ///
    /// A group is recognized only by its members' znodes, which are ephemeral: see ``RecipeSearchPlan``.
    ///
    /// - Parameters:
    ///   - names: The names of the children.
    ///   - hasEpoch: Whether the sibling `PATH-epoch` exists, which only elections have.
    /// - Returns: `nil` if the names are not those of a recipe.
    static func recognized(byChildren names: [String], hasEpoch: Bool) -> RecipeKind? {
        if let kind = recognized(byStructure: Set(names)) { return kind }
        let queue = names.compactMap(QueueName.init)
        let accesses = Set(queue.map(\.access))
        if accesses.contains(.read) || accesses.contains(.write) { return .readWriteLock }
        if accesses.contains(.latch) { return .leaderLatch }
        if accesses.contains(.lock) { return hasEpoch ? .leaderElection : .mutex }
        if names.contains(where: BarrierName.isParticipant) { return .doubleBarrier }
        let others = names.filter { $0 != BarrierName.ready }
        if names.count > others.count, others.allSatisfy(BarrierName.isUUID) { return .doubleBarrier }
        return nil
    }

    private static func recognized(byStructure names: Set<String>) -> RecipeKind? {
        func hasAll(_ expected: String...) -> Bool { names.isSuperset(of: expected) }
        if hasAll("locks", "leases") || names == ["leases"] { return .semaphore }
        if hasAll("control", "runs") || hasAll("control", "leader") || hasAll("control", "clock")
            || hasAll("runs", "leader")
        {
            return .scheduledTask
        }
        if hasAll("partitions", "members") || hasAll("partitions", "cordons") || hasAll("members", "cordons") {
            return .partitionGroup
        }
        let parts = names.intersection(RecipeKind.exclusiveMode.ownChildren ?? [])
        if parts.count >= 2 || names == ["windows"] || names == ["signal"] { return .exclusiveMode }
        return nil
    }
}

/// The names of the children of double barriers and of kazoo's parties.
enum BarrierName {
    /// The child that starts a round.
    static let ready = "ready"

    /// Whether the child is a participant's znode, as this package names it.
    static func isParticipant(_ name: String) -> Bool {
        let prefix = "participant-"
        return name.hasPrefix(prefix) && isUUID(String(name.dropFirst(prefix.count)))
    }

    /// Whether the name is a UUID: with hyphens as Curator writes it, or without as kazoo does.
    static func isUUID(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        if bytes.count == 32 { return bytes.allSatisfy(isHexadecimal) }
        guard bytes.count == 36 else { return false }
        return bytes.enumerated().allSatisfy { index, byte in
            [8, 13, 18, 23].contains(index) ? byte == UInt8(ascii: "-") : isHexadecimal(byte)
        }
    }

    /// Whether the name is one of kazoo's: a UUID without hyphens, alone or followed by `__party__` or `-` and an ID.
    static func isKazoo(_ name: String) -> Bool {
        let bytes = name.utf8
        guard bytes.count >= 32, bytes.prefix(32).allSatisfy(isHexadecimal) else { return false }
        let rest = String(decoding: bytes.dropFirst(32), as: UTF8.self)
        return rest.isEmpty || rest == "__party__" || rest.hasPrefix("-")
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
