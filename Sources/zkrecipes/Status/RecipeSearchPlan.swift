import ZooKeeper

/// A breadth-first search for recipes below a znode, without side effects.
///
/// The caller lists the znodes of ``nextLevel`` and calls ``record(_:)`` with the results, until there is no next
/// level. Each level is one batch of parallel reads.
struct RecipeSearchPlan: Sendable {
    /// The result of listing one znode.
    enum Answer: Sendable {
        case listed(names: [String], isEphemeral: Bool)
        case refused
        case missing
    }

    /// A recipe that was found, with the names of its children.
    struct Found: Sendable {
        var path: String
        var kind: RecipeKind
        var names: [String]
    }

    /// The bounds of a search.
    struct Bounds: Sendable {
        /// The number of levels below the root at which recipes are found.
        var depth: Int
        /// The number of znodes that are listed.
        var znodes: Int
        /// The number of children of one znode that are listed.
        var children = 1000
    }

    let root: String
    let bounds: Bounds

    /// The paths to list next; empty at the end of the search.
    private(set) var nextLevel: [String]
    /// The recipes in the order of their paths.
    var found: [Found] { recipes.sorted { ZNodeName($0.path) < ZNodeName($1.path) } }
    /// The znodes that could not be listed for lack of permission.
    private(set) var refused: [String] = []
    /// The number of znodes that were listed.
    private(set) var listed = 0
    /// The number of znodes that were not listed because of the bound of all znodes.
    private(set) var skippedZNodes = 0
    /// The number of znodes that were not listed because of the bound of the children of one znode.
    private(set) var skippedChildren = 0
    /// The number of znodes that were not listed because of a bound.
    var skipped: Int { skippedZNodes + skippedChildren }
    /// The deepest znodes have children that were not searched.
    private(set) var isDeeper = false

    private var recipes: [Found] = []
    /// The paths with a sibling `PATH-epoch`, which only elections have.
    private var epochs: Set<ZNodeName> = []
    private var level = 0
    /// The znodes of the previous level that are groups if all of their children are ephemeral.
    private var undecided: [(path: String, names: [String])] = []

    init(root: String, bounds: Bounds) {
        self.root = root
        self.bounds = bounds
        nextLevel = [root]
    }

    /// Evaluates the listings of a level.
    ///
    /// - Parameter answers: One result for each path of ``nextLevel``, in the same order.
    mutating func record(_ answers: [Answer]) {
        let paths = nextLevel
        listed += paths.count
        decideGroups(zip(paths, answers))
        nextLevel = []
        undecided = []
        guard level <= bounds.depth else { return }
        for (path, answer) in zip(paths, answers) { record(answer, of: path) }
        level += 1
        let room = max(0, bounds.znodes - listed)
        if nextLevel.count > room {
            skippedZNodes += nextLevel.count - room
            nextLevel = Array(nextLevel.prefix(room))
        }
    }

    private mutating func record(_ answer: Answer, of path: String) {
        switch answer {
        case .missing: return
        case .refused: refused.append(path)
        case .listed(let all, _):
            let names = Self.searched(all, of: path)
            for name in all where name.hasByteSuffix("-epoch") {
                let sibling = String(decoding: name.utf8.dropLast("-epoch".utf8.count), as: UTF8.self)
                epochs.insert(ZNodeName(ZNodePath.child(sibling, of: path)))
            }
            let children = kind(ofZNodeAt: path, names) ?? names
            guard !children.isEmpty else { return }
            if children.count == names.count { undecided.append((path, names)) }
            // The last level is listed only to find out whether the children are those of a group.
            let most = level < bounds.depth ? bounds.children : min(bounds.children, 16)
            if level < bounds.depth { skippedChildren += max(0, children.count - most) }
            nextLevel += children.prefix(most).map { ZNodePath.child($0, of: path) }
        }
    }

    /// Adds the recipe of a znode.
    ///
    /// - Returns: The children that are not a part of the recipe; `nil` if the znode is no recipe.
    private mutating func kind(ofZNodeAt path: String, _ names: [String]) -> [String]? {
        guard path != root || level > 0 else { return nil }
        let hasEpoch = epochs.contains(ZNodeName(path))
        guard let kind = RecipeKind.recognized(byChildren: names, hasEpoch: hasEpoch) else { return nil }
        recipes.append(Found(path: path, kind: kind, names: names))
        guard let own = kind.ownChildren else { return [] }
        return names.filter { !own.contains($0) }
    }

    private mutating func decideGroups(_ answers: some Sequence<(String, Answer)>) {
        var ephemeral: [ZNodeName: (all: Bool, any: Bool)] = [:]
        for (path, answer) in answers {
            guard case .listed(_, let isEphemeral) = answer, let parent = try? ZNodePath(path).parent else { continue }
            let before = ephemeral[ZNodeName(parent.string)] ?? (true, false)
            ephemeral[ZNodeName(parent.string)] = (before.all && isEphemeral, before.any || isEphemeral)
        }
        for (path, names) in undecided where path != root {
            guard let children = ephemeral[ZNodeName(path)] else { continue }
            if children.all, children.any {
                recipes.append(Found(path: path, kind: .group, names: names))
            } else if level > bounds.depth {
                isDeeper = true
            }
        }
    }

    /// Returns the children that are searched: not those of the servers, and not the companions of a sibling.
    private static func searched(_ names: [String], of path: String) -> [String] {
        let all = Set(names.map { ZNodeName($0) })
        return names.filter { name in
            if path == "/", name == "zookeeper" { return false }
            return !["-epoch", "-requests", "-limit", "-__lock__"].contains { suffix in
                guard name.hasByteSuffix(suffix) else { return false }
                return all.contains(ZNodeName(String(decoding: name.utf8.dropLast(suffix.utf8.count), as: UTF8.self)))
            }
        }
    }
}
