import CommandLineSupport
import ZooKeeper

/// The result of the doctor as text and as JSON.
struct DoctorReport: Sendable {
    let diagnosis: Diagnosis

    private var measured: Measurements { diagnosis.measured }

    // MARK: Text

    var lines: [String] {
        var lines = ["Measured for \(Text.seconds(measured.duration)):"] + measurements
        if !measured.servers.isEmpty { lines += [""] + servers }
        for finding in diagnosis.findings { lines += [""] + text(finding) }
        if !measured.skipped.isEmpty { lines += ["", "Not checked:"] + measured.skipped.map { "  \($0)" } }
        return lines + ["", summary]
    }

    private var measurements: [String] {
        let rows = [
            ("read", measured.reads), ("leader round trip", measured.syncs), ("commit", measured.commits),
        ]
        var lines = rows.map { name, samples in
            samples.isEmpty
                ? "  \(Text.left(name, 20))no answer"
                : "  \(Text.left(name, 20))median \(Text.time(samples.median)), 99 % \(Text.time(samples.quantile(0.99))), "
                    + "longest \(Text.time(samples.longest)) (\(samples.count) \(noun("request", for: samples.count)))"
        }
        lines.append(
            "  \(Text.left("stalls of this host", 20))longest \(Text.time(measured.host.longestStall)), "
                + "\(measured.host.stalls) over \(Text.time(HostEvaluation.stall))")
        if let skew = measured.skew {
            let direction = skew.ahead < .zero ? "behind" : "ahead of"
            lines.append(
                "  \(Text.left("clock of this host", 20))\(Text.time(skew.ahead.magnitude)) \(direction) the leader's, "
                    + "within \(Text.time(skew.error))")
        }
        lines.append(
            "  \(Text.left("session timeout", 20))\(Text.seconds(measured.negotiatedTimeout)) granted, "
                + "\(Text.seconds(measured.requestedTimeout)) requested; \(Text.seconds(diagnosis.fittingTimeout)) or more "
                + "fits these measurements")
        return lines
    }

    private var servers: [String] {
        let rows = measured.servers.map { server in
            [
                server.address, server.version ?? "-", server.failure == nil ? server.mode ?? "-" : "no answer",
                server.zxid?.description ?? "-", server.outstandingRequests.map(String.init) ?? "-",
                server.connections.map(String.init) ?? "-", server.watches.map(String.init) ?? "-",
                server.tickTime.map(Text.time) ?? "-",
            ]
        }
        return Text.table(
            [["SERVER", "VERSION", "MODE", "ZXID", "OUTSTANDING", "CONNECTIONS", "WATCHES", "TICK"]] + rows,
            rightAligned: [4, 5, 6, 7])
    }

    private func text(_ finding: Finding) -> [String] {
        let subject = finding.subject.map { "\($0): " } ?? ""
        return [
            "\(finding.severity.rawValue): \(subject)\(finding.what) [\(finding.rule)]", "  why: \(finding.why)",
            "  do:  \(finding.remedy)",
        ]
    }

    private var summary: String {
        func counted(_ severity: Finding.Severity) -> String {
            let number = diagnosis.count(severity)
            return "\(number) \(noun(severity.rawValue, for: number))"
        }
        return "\(counted(.error)), \(counted(.warning)), \(counted(.note))"
    }

    // MARK: JSON

    /// One JSON object in one line, with times in microseconds.
    var json: String { Text.json(JSONForm(diagnosis)) }

    /// A server in the object of `--json`, and in that of the dashboard.
    struct Server: Encodable, Sendable {
        var address: String
        var version, mode, zxid, failure: String?
        var outstandingRequests, connections, watches, sessions: Int?
        var latency: ServerReport.Latency?
        var notAllowed: [String]

        init(_ server: ServerReport) {
            (address, version, mode) = (server.address, server.version, server.mode)
            (zxid, failure, notAllowed) = (server.zxid?.description, server.failure, server.notAllowed)
            (outstandingRequests, connections) = (server.outstandingRequests, server.connections)
            (watches, sessions, latency) = (server.watches, server.sessions, server.latency)
        }
    }

    /// The object of `--json`; the article about production documents the keys.
    private struct JSONForm: Encodable {
        struct RoundTrips: Encodable {
            var count: Int
            var median, p99, longest: Int64

            init?(_ samples: Samples) {
                guard !samples.isEmpty else { return nil }
                count = samples.count
                (median, p99) = (samples.median.microseconds, samples.quantile(0.99).microseconds)
                longest = samples.longest.microseconds
            }
        }

        struct Measured: Encodable {
            var read, leaderRoundTrip, commit: RoundTrips?
            var longestStall: Int64
            var stalls: Int
            var clockSteps: [Int64]
            var clockAhead, clockError: Int64?
            var requestedTimeout, negotiatedTimeout, fittingTimeout: Int64
            var lostConnections, failedRequests: Int
        }

        var errors, warnings, notes: Int
        var findings: [Finding]
        var measurements: Measured
        var servers: [Server]
        var voters, observers: Int?
        var skipped: [String]

        init(_ diagnosis: Diagnosis) {
            let measured = diagnosis.measured
            (errors, warnings) = (diagnosis.count(.error), diagnosis.count(.warning))
            notes = diagnosis.count(.note)
            findings = diagnosis.findings
            measurements = Measured(
                read: RoundTrips(measured.reads), leaderRoundTrip: RoundTrips(measured.syncs),
                commit: RoundTrips(measured.commits), longestStall: measured.host.longestStall.microseconds,
                stalls: measured.host.stalls, clockSteps: measured.host.clockSteps.map(\.microseconds),
                clockAhead: measured.skew?.ahead.microseconds, clockError: measured.skew?.error.microseconds,
                requestedTimeout: measured.requestedTimeout.microseconds,
                negotiatedTimeout: measured.negotiatedTimeout.microseconds,
                fittingTimeout: diagnosis.fittingTimeout.microseconds, lostConnections: measured.lostConnections,
                failedRequests: measured.failedRequests)
            servers = measured.servers.map(Server.init)
            (voters, observers) = (measured.members?.voters, measured.members?.observers)
            skipped = measured.skipped
        }
    }
}

extension Duration {
    fileprivate var microseconds: Int64 { nanoseconds / 1000 }
}
