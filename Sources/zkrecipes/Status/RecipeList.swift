import CommandLineSupport
import ZooKeeper
import ZooKeeperScheduling

/// The recipes below a znode, as a table and as JSON.
struct RecipeList: Sendable {
    /// The greatest value of `--depth`.
    static let maximumDepth = 100

    var root: String
    var depth: Int
    var recipes: [RecipeStatus] = []
    /// The number of znodes that were listed.
    var znodes = 0
    /// The number of znodes that were not listed because of a bound.
    var skipped = 0
    /// The part of them that a higher bound of all znodes would not include.
    var skippedChildren = 0
    /// Whether the deepest znodes have children that were not searched.
    var isDeeper = false
    /// The znodes that could not be listed for lack of permission.
    var refused: [String] = []
    /// The recipes that could not be read, with the reasons.
    var failures: [String] = []

    init(root: String, depth: Int) { (self.root, self.depth) = (root, depth) }

    /// Creates the list of a search, without the recipes.
    init(_ plan: RecipeSearchPlan) {
        self.init(root: plan.root, depth: plan.bounds.depth)
        (znodes, skipped, skippedChildren) = (plan.listed, plan.skipped, plan.skippedChildren)
        (isDeeper, refused) = (plan.isDeeper, plan.refused)
    }

    // MARK: Text

    var lines: [String] {
        let rows = recipes.map { recipe in
            [
                recipe.path, recipe.kind.title, recipe.holder ?? "-", String(recipe.waiting),
                recipe.since?.secondsText ?? "-",
            ]
        }
        let table = Text.table([["PATH", "KIND", "HOLDER", "WAITING", "SINCE"]] + rows, rightAligned: [3])
        let remarks = remarks
        return (rows.isEmpty ? ["No recipes below \(root)."] : table)
            + (remarks.isEmpty ? [] : [""] + remarks.map { "Note: \($0)" })
    }

    /// The reasons why the list may be incomplete.
    var remarks: [String] {
        var remarks: [String] = []
        if skipped > 0 {
            var advice = "name a path further down"
            if skipped > skippedChildren { advice += ", or raise --max-znodes" }
            if skippedChildren > 0 { advice += "; of the children of one znode, at most 1,000 are read" }
            remarks.append(
                "the list is cut: \(Text.grouped(znodes)) \(noun("znode was", plural: "znodes were", for: znodes)) read, and at least \(Text.grouped(skipped)) were "
                    + "not; \(advice)")
        }
        if isDeeper {
            let levels = "\(depth) \(noun("level", for: depth))"
            let advice = depth < Self.maximumDepth ? "--depth reads more" : "name a path further down"
            remarks.append("znodes more than \(levels) below \(root) were not read; \(advice)")
        }
        if !refused.isEmpty {
            let shown = refused.prefix(5).map { ZNodeFacts.shortened($0, to: 200) }.joined(separator: ", ")
            let rest = refused.count > 5 ? ", ..." : ""
            remarks.append(
                "no permission to list \(Text.grouped(refused.count)) \(noun("znode", for: refused.count)): "
                    + shown + rest)
        }
        return remarks + failures
    }

    // MARK: JSON

    /// One JSON object in one line, with times in milliseconds since 1970.
    var json: String { Text.json(JSONForm(self)) }

    /// The object of `--json` for a list; the article about production documents the keys.
    private struct JSONForm: Encodable {
        struct Recipe: Encodable {
            var path: String
            var kind: RecipeKind
            var layouts: [QueueName.Layout]
            var holder: String?
            var holders, waiting, participantCount: Int
            var since: Int64?
        }

        var root: String
        var recipes: [Recipe]
        var znodes, skipped: Int
        var isComplete: Bool
        var refused: [String]
        var notes: [String]

        init(_ list: RecipeList) {
            root = list.root
            recipes = list.recipes.map { recipe in
                Recipe(
                    path: recipe.path, kind: recipe.kind, layouts: recipe.layouts, holder: recipe.holderName,
                    holders: recipe.holders, waiting: recipe.waiting, participantCount: recipe.total,
                    since: recipe.since?.millisecondsSince1970)
            }
            (znodes, skipped, refused) = (list.znodes, list.skipped, list.refused)
            notes = list.remarks
            isComplete = notes.isEmpty
        }
    }
}

extension StatusReader {
    /// Searches for recipes below a znode.
    func search(below root: String, bounds: RecipeSearchPlan.Bounds) async throws -> RecipeSearchPlan {
        var plan = RecipeSearchPlan(root: root, bounds: bounds)
        while !plan.nextLevel.isEmpty {
            plan.record(
                try await inParallel(plan.nextLevel) { path in
                    switch try await client.listing(of: path) {
                    case .listed(let names, let stat):
                        .listed(names: names, isEphemeral: stat.ephemeralOwner != nil)
                    case .refused: .refused
                    case .missing: .missing
                    }
                })
        }
        return plan
    }

    /// Searches for recipes below a znode and reads the holder of each.
    func list(below root: String, bounds: RecipeSearchPlan.Bounds) async throws -> RecipeList {
        let plan = try await search(below: root, bounds: bounds)
        var list = RecipeList(plan)
        var reader = self
        (reader.limit, reader.isBrief) = (1, true)
        let brief = reader
        let results = try await inParallel(plan.found, atMost: 16) { found -> Result<RecipeStatus, ZooKeeperError> in
            do {
                return .success(try await brief.status(at: found.path, kind: found.kind, names: found.names))
            } catch let error as ZooKeeperError where error.code == .noAuth || error.code == .noNode {
                return .failure(error)
            }
        }
        for (found, result) in zip(plan.found, results) {
            switch result {
            case .success(let status): list.recipes.append(status)
            case .failure(let error): list.failures.append("\(found.path): \(error.explanation)")
            }
        }
        return list
    }
}
