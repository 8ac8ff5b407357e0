import ArgumentParser
import CommandLineSupport
import ZooKeeper

struct ACLShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Prints the ACL of a znode, and which identity may do what.",
        discussion: """
            Only reads. Each entry is an identity with its permissions: c creates children, d deletes children, r reads \
            the data and lists the children, w writes the data, a changes the ACL. An entry is marked with `this client` \
            if it applies to this client, as far as its credentials show that. Servers show only \
            an x instead of the hash of a digest to clients without admin permission.

            The keys of --json are stable: path, znodes, complete. A znode: path, version, session, acl, problem. An \
            entry: scheme, id, permissions, isThisClient. Unknown values are left out.

            \(HelpText.example("zkrecipes acl show /app", "zkrecipes acl show /app --recursive --json"))

            \(HelpText.exitStatus([
                "0": "printed",
                "1": "nothing at PATH, a znode without permission, or no connection",
                "64": "invalid option or argument",
            ]))
            """)

    @OptionGroup var target: ACLTargetOptions

    func run() async throws {
        let command = self
        let identities = try target.identities()
        let tree = try await runProgram(with: target.connection) { client in try await command.target.read(client) }
        let report = ACLListing(path: target.path, tree: tree, identities: identities)
        await Output.results(target.json ? [report.json] : report.lines)
        if !report.isComplete { throw ExitCode.failure }
    }
}

/// The access control lists of znodes as a table and as JSON.
struct ACLListing: Sendable {
    var path: String
    var tree: ACLTree
    var identities: OwnIdentities

    /// Whether all ACLs and children could be read.
    var isComplete: Bool { tree.znodes.allSatisfy { $0.problem == nil && $0.listingProblem == nil } }

    var lines: [String] {
        let rows = tree.znodes.flatMap { znode in
            let entries = znode.acl.map { acl in
                acl.map { entry in
                    [
                        znode.path, entry.identity, entry.permissions.letters,
                        entry.permissions.words + (identities.match(entry) ? " (this client)" : ""),
                    ]
                }
            }
            let problems = [znode.problem, znode.listingProblem].compactMap { $0 }
            return (entries ?? []) + problems.map { [znode.path, "-", "-", $0] }
        }
        return Text.table([["ZNODE", "IDENTITY", "PERMISSIONS", "ALLOWS"]] + rows)
    }

    /// One JSON object in one line; the help text lists the keys.
    var json: String { Text.json(JSONForm(self)) }

    private struct JSONForm: Encodable {
        struct Entry: Encodable {
            var scheme, id, permissions: String
            var isThisClient: Bool
        }

        struct ZNode: Encodable {
            var path: String
            var version: Int32?
            var session: String?
            var acl: [Entry]?
            var problem: String?
        }

        var path: String
        var znodes: [ZNode]
        var complete: Bool

        init(_ listing: ACLListing) {
            (path, complete) = (listing.path, listing.isComplete)
            znodes = listing.tree.znodes.map { znode in
                ZNode(
                    path: znode.path, version: znode.acl == nil ? nil : znode.version,
                    session: znode.session?.description,
                    acl: znode.acl?.map { entry in
                        Entry(
                            scheme: entry.scheme, id: entry.id, permissions: entry.permissions.letters,
                            isThisClient: listing.identities.match(entry))
                    }, problem: znode.problem ?? znode.listingProblem)
            }
        }
    }
}
