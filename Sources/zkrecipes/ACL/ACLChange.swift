import CommandLineSupport
import Synchronization
import ZooKeeper

/// The change of the access control lists of a tree, and its results so far.
final class ACLChange: Sendable {
    /// The results of a change.
    struct Report: Sendable, Equatable {
        var changed = 0
        /// The number of znodes that already had the ACL.
        var unchanged = 0
        /// The number of znodes that were deleted in the meantime.
        var deleted = 0
        /// The znodes that could not be changed, or whose children were left out, with the reasons.
        var failures: [Failure] = []
        /// Whether the change was stopped, because it failed for another reason than a refusal for a single znode.
        var isStopped = false
        /// The number of znodes that were not tried after that.
        var remaining = 0
    }

    struct Failure: Sendable, Equatable, Encodable {
        var path: String
        var reason: String
    }

    let acl: [ACL]
    /// The entries as servers store them; `nil` if that is not known.
    private let stored: Set<ACL>?
    /// The znodes to change, level by level.
    let levels: [[ZNodeACL]]
    private let results: Mutex<Report>

    init(_ tree: ACLTree, to acl: [ACL], as identities: OwnIdentities) {
        self.acl = acl
        let stored = identities.stored(acl)
        self.stored = stored
        func isSet(_ znode: ZNodeACL) -> Bool { stored != nil && znode.acl.map { Set($0) } == stored }
        levels = tree.levels.map { level in level.filter { $0.acl != nil && !isSet($0) } }
        var report = Report()
        for znode in tree.znodes {
            if let problem = znode.problem { report.failures.append(Failure(path: znode.path, reason: problem)) }
            if let problem = znode.listingProblem { report.failures.append(Failure(path: znode.path, reason: problem)) }
        }
        report.unchanged = tree.znodes.count { isSet($0) }
        results = Mutex(report)
    }

    /// The results so far.
    var report: Report { results.withLock { $0 } }

    /// The levels in the order in which they are changed, the deepest first.
    var steps: [[ZNodeACL]] { levels.reversed() }

    /// The number of znodes to change.
    var count: Int { levels.reduce(0) { $0 + $1.count } }

    /// The number of them that belong to sessions.
    var ephemeralCount: Int { levels.reduce(0) { $0 + $1.count { $0.session != nil } } }

    /// Changes the znodes, the deepest level first, with up to 64 requests at a time.
    ///
    /// If it is interrupted, the upper levels still have their former ACLs. An identity that could find and change the
    /// znodes from the path downwards still can, so that the command can be run again. For the same reason, it stops
    /// after a request that fails for another reason than a refusal for its znode, for example in an outage: the report
    /// says so. A refusal does not stop it, because the identity could not change that znode before either.
    ///
    /// - Throws: `ZooKeeperError` if the servers do not accept the ACL at all; `CancellationError`.
    func run(_ client: ZooKeeperClient) async throws {
        for level in steps {
            _ = try await inParallel(level) { znode in try await self.change(znode, client) }
        }
    }

    private func change(_ znode: ZNodeACL, _ client: ZooKeeperClient) async throws {
        let isStopped = results.withLock { report in
            if report.isStopped { report.remaining += 1 }
            return report.isStopped
        }
        if isStopped { return }
        do {
            try await set(znode, client)
            results.withLock { $0.changed += 1 }
        } catch let error as ZooKeeperError where error.code == .noNode {
            results.withLock { $0.deleted += 1 }
        } catch let error as ZooKeeperError where error.code != .invalidACL {
            let reason =
                switch error.code {
                case .badVersion: "its ACL was changed in the meantime"
                case .noAuth: "this client has no admin permission"
                default: error.explanation
                }
            results.withLock { report in
                report.failures.append(Failure(path: znode.path, reason: reason))
                if ![.badVersion, .noAuth].contains(error.code) { report.isStopped = true }
            }
        }
    }

    /// Sets the ACL of a znode that still has the version that was read.
    ///
    /// If the answer is lost with the connection, the znode shows whether the ACL was set.
    ///
    /// - Throws: The error of the lost answer if the znode does not show that; other `ZooKeeperError`s;
    ///   `CancellationError`.
    private func set(_ znode: ZNodeACL, _ client: ZooKeeperClient) async throws {
        var lost: ZooKeeperError?
        for _ in 0..<4 {
            do {
                return try await client.setACL(acl, at: znode.path, version: znode.version)
            } catch let error as ZooKeeperError where error.isOutcomeUnknown {
                lost = error
            } catch let error as ZooKeeperError where lost != nil && [.badVersion, .noAuth].contains(error.code) {
                // The request whose answer was lost may be the reason.
            }
            switch try await evidence(at: znode, client) {
            case .wanted: return
            case .unchanged: continue
            case .other: throw ZooKeeperError(.badVersion, path: znode.path)
            case .unknown: if let lost { throw lost }
            }
        }
        if let lost { throw lost }
    }

    /// What a znode shows about a request to set its ACL whose answer was lost.
    private enum Evidence { case wanted, unchanged, other, unknown }

    private func evidence(at znode: ZNodeACL, _ client: ZooKeeperClient) async throws -> Evidence {
        do {
            let (current, stat) = try await client.acl(at: znode.path)
            if stat.aclVersion == znode.version { return .unchanged }
            // Without the stored form, it is not known who has changed the ACL.
            guard let stored else { return .unknown }
            return Set(current) == stored ? .wanted : .other
        } catch let error as ZooKeeperError where error.code == .noAuth {
            // The ACL has changed since this client has read it.
            return .unknown
        }
    }
}

// MARK: Text and JSON

extension ACLChange {
    /// The new ACL as a text.
    var aclText: String { acl.map(\.text).joined(separator: ", ") }

    /// The results in one line.
    var line: String {
        let report = report
        var parts = ["changed \(Self.znodes(report.changed))"]
        if report.unchanged > 0 { parts.append("\(Self.znodes(report.unchanged)) already had this ACL") }
        if report.deleted > 0 { parts.append("\(Self.znodes(report.deleted)) deleted in the meantime") }
        if !report.failures.isEmpty { parts.append("\(Text.grouped(report.failures.count)) failed") }
        if report.remaining > 0 { parts.append("\(Text.grouped(report.remaining)) not tried") }
        return parts.joined(separator: "; ")
    }

    /// What remains to be done if the change was stopped; `nil` if it was not.
    var remedy: String? {
        let report = report
        guard report.isStopped else { return nil }
        let rest =
            report.remaining == 0
            ? "" : "\(Self.znodes(report.remaining)) kept the former ACL, so that this client can still list the tree; "
        return "the change was stopped; \(rest)run the command again"
    }

    static func znodes(_ count: Int) -> String { "\(Text.grouped(count)) \(count == 1 ? "znode" : "znodes")" }

    /// The results as one JSON object; the help text lists the keys.
    ///
    /// - Parameter isDryRun: Whether nothing was changed.
    func json(path: String, isDryRun: Bool) -> String {
        Text.json(JSONForm(self, path: path, isDryRun: isDryRun))
    }

    private struct JSONForm: Encodable {
        var path: String
        var acl: [String]
        var dryRun: Bool
        var ephemeral: Int
        var changed, unchanged, deleted: Int
        var failures: [Failure]
        var remaining: Int

        init(_ change: ACLChange, path: String, isDryRun: Bool) {
            let report = change.report
            (self.path, acl, dryRun) = (path, change.acl.map(\.text), isDryRun)
            ephemeral = change.ephemeralCount
            changed = isDryRun ? change.count : report.changed
            (unchanged, deleted, failures) = (report.unchanged, report.deleted, report.failures)
            remaining = report.remaining
        }
    }
}
