import ArgumentParser
import CommandLineSupport
import ZooKeeper

struct ACLSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Replaces the ACL of a znode, or of everything at and below it.",
        discussion: """
            --acl is required. It is the name of a common ACL: open gives everything to each client, creator gives \
            everything to the identities in --auth-file, readable also lets each client read. Or it is one entry of any \
            ACL, as ZooKeeper's own command line writes it, and can be repeated: world:anyone:r, auth::cdrwa (the \
            identities of this client), digest:user:hash:cdrwa, ip:10.0.0.0/8:r, sasl:app:cdrwa, x509:CN=app:r.

            With --recursive, it first reads all ACLs, then sets the deepest znodes first and PATH last. If it is \
            interrupted, or the servers do not answer, the upper znodes still have their former ACLs: an identity that \
            could list and change the tree from PATH still can, and runs the command again. A znode that refuses the \
            change is reported, and the others are changed nevertheless. Znodes that already have the ACL are left out, \
            unless the servers replace auth by the identity of a certificate, which this command does not know. A znode \
            whose ACL was changed in the meantime is not overwritten, and a deleted one is left out. A znode that is \
            created in the meantime has the ACL of its creator: run the command again.

            It refuses an ACL that takes the admin permission from this client, because this client could not change it \
            back, unless --force is set. Only world:anyone, auth and the digests in --auth-file count for that.

            Recipes in use: an open lock, election or window does not notice the change, and no grant is lost. Later \
            requests of its participants need the permissions: c on the directory of a recipe to join, d to release, r \
            to read the other participants, w for records. A participant that cannot delete its znode holds its lock \
            until its session ends. New znodes of a recipe have the ACL of their program: configure the programs first \
            (`ZooKeeperClientConfiguration.acl`, or --acl and ZOOKEEPER_ACL of zkrecipes), then change the znodes.

            The keys of --json are stable: path, acl, dryRun, ephemeral (of the znodes to change), changed, unchanged, \
            deleted, failures (path, reason), remaining (not tried after a failure of the servers). --json needs --yes \
            or --dry-run. Without a terminal, --yes is required.

            \(HelpText.example(
                "zkrecipes acl set /app --acl creator --recursive --auth-file /etc/app/zookeeper --dry-run",
                "zkrecipes acl set /app --acl auth::cdrwa --acl world:anyone:r --auth-file /etc/app/zookeeper --yes"))

            \(HelpText.exitStatus([
                "0": "all znodes have the ACL",
                "1": "some could not be changed, nothing at PATH, or no connection",
                "64": "invalid option or argument, or --yes is missing",
            ]))
            """)

    @OptionGroup var target: ACLTargetOptions
    @OptionGroup var operation: OperatorOptions

    @Flag(help: "Set the ACL although it takes the admin permission from this client.")
    var force = false

    func validate() throws {
        guard !target.connection.acl.isEmpty else {
            throw ValidationError("there is no ACL: use --acl creator, or --acl for each entry")
        }
        let (acl, identities) = (try target.connection.endpoint().acl, try target.identities())
        guard force || acl.contains(where: { $0.permissions.contains(.admin) && identities.match($0) }) else {
            throw ValidationError(
                "the ACL gives no admin permission (a) to this client, which could not change it back: add --acl "
                    + "auth::cdrwa with --auth-file, or use --force")
        }
        guard !target.json || operation.yes || operation.dryRun else {
            throw ValidationError("--json cannot ask for confirmation: check with --dry-run, then add --yes")
        }
        try operation.requireConfirmation()
    }

    func run() async throws {
        let (command, acl, identities) = (self, try target.connection.endpoint().acl, try target.identities())
        try await runProgram(with: target.connection) { client in
            let change = ACLChange(try await command.target.read(client), to: acl, as: identities)
            if change.count > 0, try await !command.confirm(change) { return try command.requireSuccess(change) }
            do {
                try await change.run(client)
            } catch {
                Output.report("the change has not ended: \(change.line); run the command again")
                throw error
            }
            await Output.results([
                command.target.json ? change.json(path: command.target.path, isDryRun: false) : change.line
            ])
            try command.requireSuccess(change)
        }
    }

    /// Asks for confirmation, or prints what the command would do.
    private func confirm(_ change: ACLChange) async throws -> Bool {
        if operation.dryRun, target.json {
            await Output.results([change.json(path: target.path, isDryRun: true)])
            return false
        }
        var effects = ["The new ACL: \(change.aclText)"]
        if change.report.unchanged > 0 {
            effects.append("\(ACLChange.znodes(change.report.unchanged)) already have it.")
        }
        if change.ephemeralCount > 0 {
            effects.append(
                "\(ACLChange.znodes(change.ephemeralCount)) of them belong to sessions of running programs, which need "
                    + "the permissions of their recipes.")
        }
        let place = target.recursive ? " at and below \(target.path)" : ", \(target.path)"
        return try await operation.confirm("set the ACL of \(ACLChange.znodes(change.count))\(place)", effects)
    }

    /// Reports the znodes that could not be changed.
    ///
    /// - Throws: `ExitCode` if there is one.
    private func requireSuccess(_ change: ACLChange) throws {
        let failures = change.report.failures
        if failures.isEmpty { return }
        if !target.json { for failure in failures { Output.report("\(failure.path): \(failure.reason)") } }
        if let remedy = change.remedy { Output.report(remedy) }
        throw ExitCode.failure
    }
}
