import Testing
import ZooKeeper

@testable import zkrecipes

/// The rules of the doctor, each with measurements for which it reports something, and for which it does not.
@Suite struct DiagnosisTests {
    private static let srvr = """
        Zookeeper version: 3.8.0-5a02a05eddb59aee6ac762f7ea82e92a68eb9c0f, built on 2022-02-25 08:49 UTC
        Latency min/avg/max: 0/0.0/0
        Received: 7
        Connections: 2
        Outstanding: 0
        Zxid: 0x100000007
        Mode: follower
        Node count: 5
        """
    private static let conf = "clientPort=2181\ntickTime=2000\nminSessionTimeout=4000\nmaxSessionTimeout=40000\n"

    private func server(
        _ address: String = "127.0.0.1:2181", srvr: String = DiagnosisTests.srvr, mntr: String = "zk_watch_count\t3\n",
        conf: String = DiagnosisTests.conf, ruok: String = "imok"
    ) -> ServerReport {
        ServerReport(
            address: address,
            answers: [
                "srvr": .init(srvr), "mntr": .init(mntr), "conf": .init(conf), "ruok": .init(ruok),
            ])
    }

    /// Measurements without any finding.
    private var healthy: Measurements {
        var measured = Measurements()
        (measured.duration, measured.requestedTimeout, measured.negotiatedTimeout) = (
            .seconds(10), .seconds(10), .seconds(10)
        )
        measured.reads = Samples([.milliseconds(1), .milliseconds(2)])
        measured.syncs = Samples([.milliseconds(2)])
        measured.commits = Samples([.milliseconds(5)])
        measured.host.longestStall = .milliseconds(3)
        measured.servers = (1...3).map { server("127.0.0.\($0):2181") }
        measured.members = EnsembleMembers(
            "server.1=a:1:2:participant\nserver.2=b:1:2\nserver.3=c:1:2:participant;2181")
        return measured
    }

    private func rules(_ change: (inout Measurements) -> Void) -> [String] {
        var measured = healthy
        change(&measured)
        return Diagnosis(measured).findings.map { "\($0.severity.rawValue) \($0.rule)" }
    }

    @Test func `a healthy ensemble has no findings`() {
        let diagnosis = Diagnosis(healthy)
        #expect(diagnosis.findings.isEmpty)
        #expect(diagnosis.exitStatus == 0)
        #expect(diagnosis.fittingTimeout == .seconds(4))
    }

    @Test func `stalls are compared with a margin`() {
        #expect(rules { $0.host.longestStall = .milliseconds(1100) }.isEmpty)
        #expect(rules { $0.host.longestStall = .milliseconds(1200) } == ["warning stalls"])
        #expect(rules { $0.host.longestStall = .milliseconds(3600) } == ["error stalls"])
    }

    @Test func `round trips are compared with a twelfth of the session timeout`() {
        #expect(rules { $0.commits = Samples([.milliseconds(800)]) }.isEmpty)
        #expect(rules { $0.commits = Samples([.milliseconds(900)]) } == ["warning round-trip"])
        #expect(rules { $0.syncs = Samples([.seconds(3)]) } == ["error round-trip"])
    }

    @Test func `an encrypted connection is reported with what the C library does not check`() {
        #expect(
            rules {
                $0.isEncrypted = true
                $0.servers = []
            } == ["note tls-host-names"])
    }

    @Test func `a granted session timeout that differs is reported`() {
        #expect(rules { $0.negotiatedTimeout = .seconds(40) } == ["warning negotiated-timeout"])
    }

    @Test func `lost connections and failed requests are reported`() {
        #expect(rules { $0.lostConnections = 1 } == ["warning connection-lost"])
        #expect(rules { $0.failedRequests = 1 } == ["warning connection-lost"])
    }

    @Test func `steps and skew of the clock are reported`() {
        #expect(rules { $0.host.clockSteps = [.milliseconds(-300)] } == ["warning clock-steps"])
        func skew(_ ahead: Duration, roundTrip: Duration = .milliseconds(2)) -> MeasuredSkew {
            MeasuredSkew(sent: .seconds(1000) + ahead, roundTrip: roundTrip, stamped: .seconds(1000))
        }
        #expect(rules { $0.skew = skew(.milliseconds(900)) }.isEmpty)
        #expect(rules { $0.skew = skew(.seconds(2)) } == ["warning clock-skew"])
        #expect(rules { $0.skew = skew(.seconds(-30)) } == ["error clock-skew"])
        // The difference is not certain if the write took long.
        #expect(rules { $0.skew = skew(.seconds(-2), roundTrip: .seconds(8)) }.isEmpty)
    }

    @Test(arguments: [
        (1, ["warning single-server"]), (2, ["warning even-voters"]), (3, []), (4, ["warning even-voters"]),
    ])
    func `the number of voters is checked`(voters: Int, expected: [String]) {
        let text = (1...voters).map { "server.\($0)=h:1:2:participant" }.joined(separator: "\n")
        let found = rules { measured in
            measured.members = EnsembleMembers(text + "\nserver.9=h:1:2:observer;2181")
            measured.servers = (0...voters).map { server("127.0.0.\($0):2181") }
        }
        #expect(found == expected)
    }

    @Test func `a standalone server is a single one`() {
        let standalone = server(srvr: Self.srvr.replacing("follower", with: "standalone"))
        #expect(
            rules {
                $0.members = EnsembleMembers("version=0")
                $0.servers = [standalone]
            } == ["warning single-server"])
    }

    @Test func `servers that are not named are reported as a note`() {
        #expect(rules { $0.servers.removeLast() } == ["note few-addresses"])
    }

    @Test func `a minimum session timeout below two ticks is an error if it is in use`() {
        let conf = Self.conf.replacing("minSessionTimeout=4000", with: "minSessionTimeout=2000")
        #expect(rules { $0.servers = (1...3).map { server("127.0.0.\($0):1", conf: conf) } }.count == 3)
        let long = rules { $0.servers = (1...3).map { server("127.0.0.\($0):1", conf: conf) } }
        #expect(Set(long) == ["warning min-session-timeout"])
        let short = rules { measured in
            measured.servers = (1...3).map { server("127.0.0.\($0):1", conf: conf) }
            (measured.requestedTimeout, measured.negotiatedTimeout) = (.seconds(3), .seconds(3))
        }
        #expect(Set(short) == ["error min-session-timeout"])
    }

    @Test func `limits and versions that differ between servers are reported`() {
        let conf = Self.conf.replacing("40000", with: "60000")
        #expect(rules { $0.servers[1] = server("127.0.0.2:1", conf: conf) } == ["warning session-limits-differ"])
        let srvr = Self.srvr.replacing("3.8.0", with: "3.9.2")
        #expect(rules { $0.servers[1] = server("127.0.0.2:1", srvr: srvr) } == ["warning versions-differ"])
    }

    @Test func `a packet size that differs is reported, and a smaller one of a server is a warning`() {
        func found(_ size: Int) -> [String] {
            rules { $0.servers[0] = server("127.0.0.1:1", conf: Self.conf + "jute.maxbuffer=\(size)\n") }
        }
        #expect(found(1_048_575).isEmpty)
        #expect(found(4_194_304) == ["note packet-size"])
        #expect(found(524_288) == ["warning packet-size"])
    }

    @Test func `a server that does not answer is an error if no other one may fail`() {
        let down = ServerReport(
            address: "127.0.0.3:2181",
            answers: [
                "srvr": .failed("refused"), "mntr": .failed("refused"), "conf": .failed("x"), "ruok": .failed("x"),
            ])
        #expect(rules { $0.servers[2] = down } == ["error server-down"])
        let five = (1...5).map { "server.\($0)=h:1:2:participant" }.joined(separator: "\n")
        #expect(
            rules { measured in
                measured.members = EnsembleMembers(five)
                measured.servers = (1...4).map { server("127.0.0.\($0):2181") } + [down]
            } == ["warning server-down"])
    }

    @Test func `a server that serves no clients is reported`() {
        let text = "This ZooKeeper instance is not currently serving requests"
        #expect(
            rules { $0.servers[2] = server("127.0.0.3:1", srvr: text, mntr: text) } == ["error server-not-serving"])
    }

    @Test func `a follower that lags is reported`() {
        func found(_ zxid: String) -> [String] {
            rules { $0.servers[0] = server("127.0.0.1:1", srvr: Self.srvr.replacing("0x100000007", with: zxid)) }
        }
        #expect(found("0x100000100").isEmpty)
        #expect(found("0x100010000") == ["warning follower-lags", "warning follower-lags"])
        #expect(found("0x200000001") == ["warning follower-lags", "warning follower-lags"])
        let leader = "zk_learners\t2\nzk_synced_followers\t1\n"
        #expect(rules { $0.servers[0] = server("127.0.0.1:1", mntr: leader) } == ["warning follower-lags"])
    }

    @Test func `the load of servers is compared with limits`() {
        func outstanding(_ count: Int) -> [String] {
            let srvr = Self.srvr.replacing("Outstanding: 0", with: "Outstanding: \(count)")
            return rules { $0.servers[0] = server("127.0.0.1:1", srvr: srvr) }
        }
        #expect(outstanding(100).isEmpty)
        #expect(outstanding(101) == ["warning outstanding-requests"])
        func watches(_ count: Int) -> [String] {
            rules { $0.servers[0] = server("127.0.0.1:1", mntr: "zk_watch_count\t\(count)\n") }
        }
        #expect(watches(100_000).isEmpty)
        #expect(watches(100_001) == ["warning many-watches"])
        #expect(rules { $0.servers[0] = server("127.0.0.1:1", ruok: "no\u{1b}[2J") } == ["warning not-ok"])
    }

    @Test func `commands that a server does not allow are a note`() {
        let refusal = "mntr is not executed because it is not in the whitelist."
        let found = rules { $0.servers[0] = server("127.0.0.1:1", mntr: refusal, conf: refusal, ruok: refusal) }
        #expect(found == ["note four-letter-words"])
    }

    @Test func `ACLs, numbers of children and missing paths are reported`() {
        func found(_ acl: [ACL], children: Int = 0, _ problem: PathReport.Problem? = nil) -> [String] {
            rules { $0.paths = [PathReport(path: "/a", problem: problem, acl: acl, children: children)] }
        }
        #expect(found([.readUnsafe, ACL(permissions: .all, scheme: "digest", id: "a:b")]).isEmpty)
        #expect(found([.openUnsafe]) == ["warning open-acl"])
        #expect(found([ACL(permissions: [.read, .create], scheme: "world", id: "anyone")]) == ["warning open-acl"])
        #expect(found([.readUnsafe], children: 10_000).isEmpty)
        #expect(found([.readUnsafe], children: 10_001) == ["warning many-children"])
        #expect(found([], .missing) == ["warning path-missing"])
        #expect(found([], .refused) == ["note path-refused"])
    }

    @Test(arguments: [
        ("127.0.0.1:2181", true), ("127.8.9.10:2181", true), ("localhost:2181", true), ("[::1]:2181", true),
        ("10.0.0.1:2181", false), ("127.evil.example:2181", false), ("zk1:2181", false), ("[::2]:2181", false),
    ])
    func `a connection that is not encrypted and leaves the host is a note`(address: String, isLoopback: Bool) {
        #expect(rules { $0.servers[0] = server(address) } == (isLoopback ? [] : ["note plain-text"]))
    }

    @Test func `the exit status is that of the most severe finding`() {
        var measured = healthy
        measured.servers[0] = server("zk1:2181")
        #expect(Diagnosis(measured).exitStatus == 0)
        measured.lostConnections = 1
        #expect(Diagnosis(measured).exitStatus == 1)
        measured.host.longestStall = .seconds(9)
        #expect(Diagnosis(measured).exitStatus == 2)
        #expect(Diagnosis(measured).findings.map(\.severity) == [.error, .warning, .note])
    }

    @Test func `the fitting session timeout covers round trips, stalls and the servers' minimum`() {
        var measured = healthy
        measured.commits = Samples([.milliseconds(500)])
        #expect(Diagnosis(measured).fittingTimeout == .seconds(6))
        measured.host.longestStall = .seconds(1)
        #expect(Diagnosis(measured).fittingTimeout == .seconds(9))
    }

    // MARK: Readings

    @Test func `a sleep that ends late is a stall`() {
        var evaluation = HostEvaluation()
        evaluation.record(slept: .milliseconds(2), wall: 0, monotonic: 0, clocksRead: .zero)
        evaluation.record(slept: .milliseconds(301), wall: 0, monotonic: 0, clocksRead: .zero)
        #expect(evaluation.measured == HostMeasurements(longestStall: .milliseconds(300), stalls: 1))
    }

    @Test func `a clock that jumps against the monotonic clock is stepped, and one that drifts is not`() {
        var evaluation = HostEvaluation()
        for step: Int64 in 0..<10 {
            evaluation.record(
                slept: .milliseconds(1), wall: step * 1_001_000_000, monotonic: step * 1_000_000_000, clocksRead: .zero)
        }
        #expect(evaluation.measured.clockSteps.isEmpty)
        evaluation.record(slept: .milliseconds(1), wall: 60_000_000_000, monotonic: 11_000_000_000, clocksRead: .zero)
        #expect(evaluation.measured.clockSteps.count == 1)
        // Readings of which the thread was suspended in between do not count.
        evaluation.record(
            slept: .milliseconds(1), wall: 0, monotonic: 12_000_000_000, clocksRead: .milliseconds(200))
        #expect(evaluation.measured.clockSteps.count == 1)
    }

    @Test func `quantiles are those of the samples`() {
        let samples = Samples((1...100).map { .milliseconds($0) })
        #expect(samples.median == .milliseconds(50))
        #expect(samples.quantile(0.99) == .milliseconds(99))
        #expect(samples.longest == .milliseconds(100))
        #expect(Samples().quantile(0.99) == .zero)
    }

    @Test func `a report has each finding with its reason and remedy, escaped`() {
        var measured = healthy
        measured.servers[0] = server("127.0.0.1:1", ruok: "no\u{1b}[2J")
        let report = DoctorReport(diagnosis: Diagnosis(measured))
        #expect(report.lines.contains { $0.hasPrefix("warning: 127.0.0.1:1: ") && $0.hasSuffix("[not-ok]") })
        #expect(report.lines.contains { $0.hasPrefix("  why: ") } && report.lines.contains { $0.hasPrefix("  do:  ") })
        #expect(report.lines.last == "0 errors, 1 warning, 0 notes")
        #expect(report.json.contains("\"rule\":\"not-ok\"") && !report.json.unicodeScalars.contains("\u{1b}"))
    }
}
