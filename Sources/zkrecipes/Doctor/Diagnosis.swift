import CommandLineSupport
import ZooKeeper

/// The rules of the doctor, without side effects.
struct Diagnosis: Sendable {
    let measured: Measurements
    /// The findings, the most severe first.
    let findings: [Finding]

    init(_ measured: Measurements) {
        self.measured = measured
        let all =
            Self.session(measured) + Self.host(measured) + Self.ensemble(measured) + Self.servers(measured)
            + Self.paths(measured) + Self.network(measured)
        let order = all.enumerated().sorted { ($1.element.severity, $0.offset) < ($0.element.severity, $1.offset) }
        findings = order.map(\.element)
    }

    /// The most severe finding; `nil` without findings.
    var severity: Finding.Severity? { findings.first?.severity }

    /// The exit status: 0 with notes only, 1 with warnings, 2 with errors.
    var exitStatus: Int32 {
        switch severity {
        case nil, .note: 0
        case .warning: 1
        case .error: 2
        }
    }

    func count(_ severity: Finding.Severity) -> Int { findings.count { $0.severity == severity } }

    // MARK: The session timeout

    /// The part of the session timeout for which grants stay valid without a connection in any case.
    static let outagePart = 0.35
    /// Measured stalls are multiplied by this factor, because a measurement is short.
    static let stallMargin = 3.0
    /// Grants stay valid between heartbeats while a round trip takes less than this part of the session timeout.
    static let roundTripPart = 1.0 / 12

    /// The shortest session timeout that fits the measurements, in whole seconds.
    var fittingTimeout: Duration {
        let needed = max(
            measured.roundTrip / Self.roundTripPart, measured.host.longestStall * Self.stallMargin / Self.outagePart,
            measured.servers.compactMap(\.minSessionTimeout).max() ?? .zero,
            // A garbage collection of a server can take about a second.
            .seconds(2))
        return .seconds(Int((needed / .seconds(1)).rounded(.up)))
    }

    private static func session(_ measured: Measurements) -> [Finding] {
        var findings: [Finding] = []
        let timeout = measured.negotiatedTimeout
        let stall = measured.host.longestStall
        if stall * stallMargin > timeout * outagePart {
            findings.append(
                Finding(
                    severity: stall > timeout * outagePart ? .error : .warning, rule: "stalls",
                    what: "this host stalled for up to \(Text.time(stall)); the session timeout is "
                        + Text.seconds(timeout),
                    why: "grants stay valid without a connection for 0.35 of the session timeout, "
                        + "\(Text.time(timeout * outagePart)); a stall of that length loses them",
                    remedy: "use a longer --session-timeout, or give the host more CPU time and memory"))
        }
        if measured.roundTrip > timeout * roundTripPart {
            findings.append(
                Finding(
                    severity: measured.roundTrip > timeout * 0.25 ? .error : .warning, rule: "round-trip",
                    what: "1 % of the round trips take longer than \(Text.time(measured.roundTrip)), which is over a "
                        + "twelfth of the session timeout of \(Text.seconds(timeout))",
                    why: "the validity of grants can end between two heartbeats, and their work is cancelled",
                    remedy: "use a longer --session-timeout, or find out why the servers or the network are slow"))
        }
        if timeout != measured.requestedTimeout {
            findings.append(
                Finding(
                    severity: .warning, rule: "negotiated-timeout",
                    what: "the servers granted a session timeout of \(Text.seconds(timeout)) instead of "
                        + Text.seconds(measured.requestedTimeout),
                    why: "a crash or an outage takes longer, or is tolerated for a shorter time, than was requested",
                    remedy: "request a timeout within the servers' limits, or change minSessionTimeout or "
                        + "maxSessionTimeout"))
        }
        if measured.lostConnections > 0 || measured.failedRequests > 0 {
            findings.append(
                Finding(
                    severity: .warning, rule: "connection-lost",
                    what: "during \(Text.seconds(measured.duration)), the connection was lost "
                        + "\(measured.lostConnections) \(noun("time", for: measured.lostConnections)), and "
                        + "\(measured.failedRequests) \(noun("request", for: measured.failedRequests)) failed",
                    why: "each loss delays all requests, and a long one ends all grants",
                    remedy: "look at the network and at the logs of the servers"))
        }
        return findings
    }

    // MARK: This host

    private static func host(_ measured: Measurements) -> [Finding] {
        var findings: [Finding] = []
        if let largest = measured.host.clockSteps.max(by: { $0.magnitude < $1.magnitude }) {
            findings.append(
                Finding(
                    severity: .warning, rule: "clock-steps",
                    what: "the wall clock of this host was stepped \(measured.host.clockSteps.count) "
                        + "\(noun("time", for: measured.host.clockSteps.count)), by up to "
                        + Text.time(largest.magnitude),
                    why: "grants do not depend on it, but scheduled tasks and the times in logs do",
                    remedy: "let the time service slew the clock instead of stepping it"))
        }
        if let skew = measured.skew, skew.certain > .seconds(1) {
            findings.append(
                Finding(
                    severity: skew.certain > .seconds(10) ? .error : .warning, rule: "clock-skew",
                    what: "the clock of this host is \(Text.time(skew.ahead.magnitude)) "
                        + (skew.ahead < .zero ? "behind" : "ahead of") + " the leader's, within "
                        + Text.time(skew.error),
                    why:
                        "scheduled tasks refuse to run on a node whose clock differs by more than 10 s (--maximum-clock-skew)",
                    remedy: "synchronize the clocks of this host and of the servers"))
        }
        return findings
    }

    // MARK: The network

    private static func network(_ measured: Measurements) -> [Finding] {
        if measured.isEncrypted {
            return [
                Finding(
                    severity: .note, rule: "tls-host-names",
                    what: "the connection is encrypted, but the C library does not compare certificates with the names "
                        + "of servers",
                    why:
                        "it accepts a server with any certificate of the authority in --tls-ca, or of an authority that "
                        + "the system trusts",
                    remedy:
                        "use an authority that signs only certificates of ZooKeeper, and set SSL_CERT_FILE to its file "
                        + "and SSL_CERT_DIR to an empty folder; or use stunnel, which checks names")
            ]
        }
        let remote = measured.servers.map(\.address).filter { !isLoopback($0) }
        guard !remote.isEmpty else { return [] }
        return [
            Finding(
                severity: .note, rule: "plain-text",
                what: "the connection is not encrypted, and \(remote.joined(separator: ", ")) "
                    + (remote.count == 1 ? "is" : "are") + " not on this host",
                why: "the network can read and change the data, the passwords and the sessions",
                remedy:
                    "use a network that you trust, --tls-ca with a C library that has TLS, or a tunnel such as stunnel "
                    + "on this host")
        ]
    }

    /// Whether an address, as `host:port`, is one of this host's loopback addresses.
    static func isLoopback(_ address: String) -> Bool {
        guard let colon = address.lastIndex(of: ":") else { return false }
        let host = address[..<colon]
        if host == "localhost" || host == "[::1]" || host == "[::ffff:127.0.0.1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}

extension Duration {
    var magnitude: Duration { self < .zero ? .zero - self : self }
}
