import CommandLineSupport
import ZooKeeper

extension Diagnosis {
    // MARK: The ensemble

    static func ensemble(_ measured: Measurements) -> [Finding] {
        members(measured) + sessionLimits(measured) + versions(measured) + packetSizes(measured)
    }

    private static func members(_ measured: Measurements) -> [Finding] {
        var findings: [Finding] = []
        let isStandalone = measured.servers.contains { $0.mode == "standalone" }
        let voters = isStandalone ? 1 : measured.members?.voters
        if voters == 1 {
            findings.append(
                Finding(
                    severity: .warning, rule: "single-server", what: "the ensemble has one voting server",
                    why: "if it fails, or while it restarts, every client waits, and all grants end at their deadlines",
                    remedy: "use three voting servers on different hosts"))
        } else if let voters, voters.isMultiple(of: 2) {
            findings.append(
                Finding(
                    severity: .warning, rule: "even-voters", what: "the ensemble has \(voters) voting servers",
                    why: "an even number tolerates no more failures than \(voters - 1), and each write needs one more "
                        + "answer",
                    remedy: "add a voting server, or make one of them an observer"))
        }
        if let members = measured.members, members.voters + members.observers > measured.servers.count,
            !measured.servers.isEmpty
        {
            let all = members.voters + members.observers
            findings.append(
                Finding(
                    severity: .note, rule: "few-addresses",
                    what: "--connect names \(measured.servers.count) of \(all) servers",
                    why: "the client cannot move to the others if these fail",
                    remedy: "name all servers, unless the address is that of a load balancer"))
        }
        return findings
    }

    private static func sessionLimits(_ measured: Measurements) -> [Finding] {
        var findings: [Finding] = []
        for server in measured.servers {
            guard let tick = server.tickTime, let shortest = server.minSessionTimeout, shortest < tick * 2 else {
                continue
            }
            findings.append(
                Finding(
                    severity: measured.negotiatedTimeout < tick * 2 ? .error : .warning, rule: "min-session-timeout",
                    subject: server.address,
                    what: "minSessionTimeout is \(Text.time(shortest)), which is less than two ticks of "
                        + Text.time(tick),
                    why: "the deadlines of grants are computed for session timeouts of at least two ticks; with a "
                        + "shorter one, two holders of a lock could be valid at the same time",
                    remedy: "set minSessionTimeout to at least \(Text.time(tick * 2)), or leave it out"))
        }
        let limits = measured.servers.compactMap { server in
            server.maxSessionTimeout.map { [$0, server.minSessionTimeout ?? .zero] }
        }
        if Set(limits).count > 1 {
            findings.append(
                Finding(
                    severity: .warning, rule: "session-limits-differ",
                    what: "the servers have different values of minSessionTimeout or maxSessionTimeout",
                    why: "the timeout of a session then depends on the server that the client connects to",
                    remedy: "set the same values on all servers"))
        }
        return findings
    }

    private static func versions(_ measured: Measurements) -> [Finding] {
        let versions = Set(measured.servers.compactMap(\.version)).sorted()
        guard versions.count > 1 else { return [] }
        return [
            Finding(
                severity: .warning, rule: "versions-differ",
                what: "the servers have different versions: \(versions.joined(separator: ", "))",
                why: "that is meant for the time of an upgrade only",
                remedy: "finish the upgrade")
        ]
    }

    private static func packetSizes(_ measured: Measurements) -> [Finding] {
        let mine = measured.maximumPacketSize
        return measured.servers.compactMap { server in
            guard let theirs = server.maximumPacketSize, theirs != mine else { return nil }
            return Finding(
                severity: theirs < mine ? .warning : .note, rule: "packet-size", subject: server.address,
                what: "jute.maxbuffer is \(Text.grouped(theirs)), and maximumPacketSize of this client is "
                    + Text.grouped(mine),
                why: theirs < mine
                    ? "the server closes the connection of a client that sends a larger packet"
                    : "the client refuses packets that the server would accept",
                remedy: "set the same number on the servers and in the clients")
        }
    }

    // MARK: Each server

    /// The thresholds, from experience with servers of usual size.
    enum Limits {
        static let outstandingRequests = 100
        static let watches = 100_000
        static let children = 10_000
        /// The number of transactions by which a follower may be behind while it is asked.
        static let lag: Int64 = 1000
    }

    static func servers(_ measured: Measurements) -> [Finding] {
        reachability(measured) + lags(measured) + measured.servers.flatMap(load) + whitelists(measured)
    }

    private static func reachability(_ measured: Measurements) -> [Finding] {
        let down = measured.servers.filter { $0.failure != nil || $0.isNotServing }
        guard !down.isEmpty else { return [] }
        // Without another failure to spare, the next one stops the ensemble.
        let voters = measured.members?.voters ?? measured.servers.count
        let isLast = voters - down.count <= voters / 2 + 1 && voters > 1
        return down.map { server in
            let isNotServing = server.failure == nil
            return Finding(
                severity: isLast ? .error : .warning, rule: isNotServing ? "server-not-serving" : "server-down",
                subject: server.address,
                what: isNotServing
                    ? "the server runs, but serves no clients"
                    : "the server does not answer: \(server.failure ?? "")",
                why: isLast
                    ? "\(voters - down.count) of \(voters) voting servers are left; the next failure stops the ensemble"
                    : "fewer failures are tolerated, and clients lose time when they try this server",
                remedy: isNotServing
                    ? "look at its log: it has no connection to a majority, or is still starting"
                    : "start the server, or remove it from --connect")
        }
    }

    private static func lags(_ measured: Measurements) -> [Finding] {
        var findings: [Finding] = []
        let newest = measured.servers.compactMap(\.zxid).max()
        for server in measured.servers {
            guard let newest, let zxid = server.zxid, server.mode != "leader" else { continue }
            let isOlderEpoch = zxid.rawValue >> 32 < newest.rawValue >> 32
            guard isOlderEpoch || newest.rawValue - zxid.rawValue > Limits.lag else { continue }
            findings.append(
                Finding(
                    severity: .warning, rule: "follower-lags", subject: server.address,
                    what: "the server is at transaction \(zxid), and another one at \(newest)",
                    why: "clients of this server read old data, and their writes wait",
                    remedy: "look at its disk, its garbage collection and its network"))
        }
        for server in measured.servers {
            guard let all = server.followers, let synced = server.syncedFollowers, synced < all else { continue }
            findings.append(
                Finding(
                    severity: .warning, rule: "follower-lags", subject: server.address,
                    what: "\(synced) of \(all) followers of this leader are synchronized",
                    why: "the others do not count for the majority until they have caught up",
                    remedy: "look at the log of the followers"))
        }
        return findings
    }

    private static func load(_ server: ServerReport) -> [Finding] {
        var findings: [Finding] = []
        if let requests = server.outstandingRequests, requests > Limits.outstandingRequests {
            findings.append(
                Finding(
                    severity: .warning, rule: "outstanding-requests", subject: server.address,
                    what: "\(Text.grouped(requests)) requests wait in the server",
                    why: "every request takes longer; at 1,000, servers stop reading from their clients",
                    remedy: "reduce the load, or look at the disk of the server"))
        }
        if let watches = server.watches, watches > Limits.watches {
            findings.append(
                Finding(
                    severity: .warning, rule: "many-watches", subject: server.address,
                    what: "the server has \(Text.grouped(watches)) watches",
                    why: "they take memory, and after a restart all clients set them again at once",
                    remedy: "cache smaller subtrees, or look for clients that leak watches (`wchs`)"))
        }
        if case .text(let text) = server.answers["ruok"], text.trimmed != "imok" {
            findings.append(
                Finding(
                    severity: .warning, rule: "not-ok", subject: server.address,
                    what: "the server answers `ruok` with \(Text.quoted(text.trimmed))",
                    why: "a server without errors answers `imok`", remedy: "look at its log"))
        }
        return findings
    }

    private static func whitelists(_ measured: Measurements) -> [Finding] {
        let servers = measured.servers.filter { !$0.notAllowed.isEmpty }
        guard !servers.isEmpty else { return [] }
        let words = ServerReport.words.filter { word in servers.contains { $0.notAllowed.contains(word) } }
        return [
            Finding(
                severity: .note, rule: "four-letter-words",
                what:
                    "\(servers.map(\.address).joined(separator: ", ")): the commands \(words.joined(separator: ", ")) "
                    + "are not allowed",
                why: "the checks of ticks, limits, watches, followers and load that need them were left out",
                remedy: "set 4lw.commands.whitelist=\(ServerReport.words.joined(separator: ",")) on the servers")
        ]
    }

    // MARK: Paths

    static func paths(_ measured: Measurements) -> [Finding] {
        measured.paths.flatMap { report in
            switch report.problem {
            case .missing:
                [
                    Finding(
                        severity: .warning, rule: "path-missing", subject: report.path,
                        what: "the znode does not exist",
                        why: "its ACL and its children could not be checked",
                        remedy: "check the path and the chroot of --connect")
                ]
            case .refused:
                [
                    Finding(
                        severity: .note, rule: "path-refused", subject: report.path,
                        what: "this client has no permission to read the ACL",
                        why: "the ACL could not be checked", remedy: "check it with the identity that owns the znode")
                ]
            case nil: acl(of: report) + children(of: report)
            }
        }
    }

    private static func acl(of report: PathReport) -> [Finding] {
        let everyone = report.acl.filter { $0.scheme == "world" }.reduce(into: ACL.Permissions()) { all, entry in
            all.formUnion(entry.permissions)
        }
        let names: [(ACL.Permissions, String)] = [
            (.write, "write"), (.create, "create"), (.delete, "delete"), (.admin, "change the ACL"),
        ]
        let allowed = names.filter { everyone.contains($0.0) }.map(\.1)
        guard !allowed.isEmpty else { return [] }
        return [
            Finding(
                severity: .warning, rule: "open-acl", subject: report.path,
                what: "every client may \(allowed.joined(separator: ", "))",
                why: "any process that reaches the servers can take or delete locks, and change data",
                remedy: "use an ACL such as creatorAll, with credentials for the participants")
        ]
    }

    private static func children(of report: PathReport) -> [Finding] {
        guard report.children > Limits.children else { return [] }
        return [
            Finding(
                severity: .warning, rule: "many-children", subject: report.path,
                what: "the znode has \(Text.grouped(report.children)) children",
                why: "a list of them can be larger than jute.maxbuffer, which JVM clients then refuse, and each list "
                    + "takes time and memory",
                remedy: "delete those that are not needed, or distribute them over several znodes")
        ]
    }
}

extension String {
    fileprivate var trimmed: String {
        String(decoding: utf8.drop { $0 <= 0x20 }.reversed().drop { $0 <= 0x20 }.reversed(), as: UTF8.self)
    }
}
