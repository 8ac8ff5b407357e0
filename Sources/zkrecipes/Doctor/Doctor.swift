import CommandLineSupport
import Glibc
import Synchronization
import ZooKeeper
import ZooKeeperRecipes

/// Measures the ensemble and this host.
struct Doctor: Sendable {
    let client: ZooKeeperClient
    var requestedTimeout: Duration
    var duration: Duration
    var pause: Duration
    /// The znode below which an ephemeral znode may be created; `nil` writes nothing.
    var writablePath: String?
    var paths: [String]
    var serverTimeout: Duration

    func measure() async throws -> Measurements {
        var measured = Measurements()
        (measured.duration, measured.requestedTimeout) = (duration, requestedTimeout)
        measured.negotiatedTimeout = try await client.waitUntilConnected().timeout
        measured.maximumPacketSize = client.configuration.maximumPacketSize
        measured.isEncrypted = client.configuration.tls != nil
        if !measured.isEncrypted { measured.servers = try await servers() }
        measured.members = try await members()
        measured.paths = try await inParallel(paths, report)
        try await measureClock(into: &measured)
        try await measureRoundTrips(into: &measured)
        measured.skipped += skipped(measured)
        return measured
    }

    // MARK: Servers

    /// Asks all servers at the same time; this needs no session.
    func servers() async throws -> [ServerReport] {
        try await inParallel(client.configuration.servers, atMost: 16) { server in
            await ServerReport.asked(server, timeout: serverTimeout)
        }
    }

    /// Reads the members of the ensemble; `nil` if they are unknown.
    func members() async throws -> EnsembleMembers? {
        do {
            return EnsembleMembers(try await client.ensembleConfiguration().text)
        } catch let error as ZooKeeperError where error.code == .noAuth || error.code == .noNode {
            return nil
        }
    }

    private func skipped(_ measured: Measurements) -> [String] {
        var skipped: [String] = []
        if measured.isEncrypted {
            skipped.append(
                "srvr, mntr, conf and ruok of the servers: ports with TLS do not accept them in plain text; run the doctor "
                    + "on a host that can use the plain client port")
        }
        let hasModes = measured.servers.contains { $0.mode == "standalone" }
        if measured.members == nil, !hasModes {
            skipped.append("the number of voting servers: no server reports it")
        }
        if !measured.servers.contains(where: { $0.maximumPacketSize != nil }) {
            skipped.append(
                "jute.maxbuffer of the servers: they do not report it; compare it with maximumPacketSize of the clients, "
                    + Text.grouped(measured.maximumPacketSize))
        }
        if paths.isEmpty { skipped.append("ACLs and numbers of children: no PATH was given") }
        return skipped
    }

    // MARK: Paths

    private func report(_ path: String) async throws -> PathReport {
        var report = PathReport(path: path)
        do {
            let (acl, stat) = try await client.acl(at: path)
            (report.acl, report.children) = (acl, stat.childrenCount)
        } catch let error as ZooKeeperError where error.code == .noAuth {
            report.problem = .refused
        } catch let error as ZooKeeperError where error.code == .noNode {
            report.problem = .missing
        }
        return report
    }

    // MARK: The clock

    /// Creates an ephemeral znode, whose creation the leader stamps, and deletes it.
    private func measureClock(into measured: inout Measurements) async throws {
        guard let writablePath else {
            return measured.skipped.append("the clock skew: it needs a znode; --path names one that may be written")
        }
        let uuid = ContenderName.makeUUID(using: client.randomness)
        let path = ZNodePath.child("_doctor_\(uuid)", of: writablePath)
        do {
            for _ in 0..<3 {
                let sent = Self.wallClock()
                let began = client.clock.now
                let stat = try await client.create(path, mode: .ephemeral).stat
                let skew = MeasuredSkew(
                    sent: sent, roundTrip: client.clock.now - began,
                    stamped: .milliseconds(stat.ctime.millisecondsSince1970))
                if measured.skew.map({ skew.error < $0.error }) ?? true { measured.skew = skew }
                try await client.delete(path)
            }
        } catch let error as ZooKeeperError where Self.refusals.contains(error.code) {
            measured.skipped.append(
                "the clock skew: no znode can be created below \(writablePath): \(error.explanation)")
        }
    }

    private static let refusals: [ZooKeeperError.Code] = [
        .noAuth, .noNode, .noChildrenForEphemerals, .quotaExceeded, .invalidACL,
    ]

    /// The wall clock, since 1970.
    private static func wallClock() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    // MARK: Round trips

    private func measureRoundTrips(into measured: inout Measurements) async throws {
        let meter = HostMeter()
        defer { measured.host = meter.stop() }
        let clock = client.clock
        let end = clock.now + duration
        let outages = Outages()
        let rounds = try await alongside({ await outages.count(of: client) }) {
            var rounds = Rounds()
            while clock.now < end {
                try await rounds.run(client)
                try await clock.sleep(until: min(end, clock.now + pause))
            }
            return rounds
        }
        measured.reads = Samples(rounds.reads)
        measured.syncs = Samples(rounds.syncs)
        measured.commits = Samples(rounds.commits)
        measured.failedRequests = rounds.failures
        measured.lostConnections = outages.number
    }
}

/// Requests that change nothing, with their durations.
private struct Rounds: Sendable {
    var reads: [Duration] = []
    var syncs: [Duration] = []
    var commits: [Duration] = []
    var failures = 0

    /// Sends a read, a request that goes to the leader and back, and a transaction that only checks a znode.
    ///
    /// These are the requests of a heartbeat. The transaction is committed by a majority like every other write.
    mutating func run(_ client: ZooKeeperClient) async throws {
        let session = try await client.connectedSession()
        try await time(\.reads, client) { _ = try await session.send(.exists(path: "/")) }
        try await time(\.syncs, client) { _ = try await session.send(.sync(path: "/")) }
        try await time(\.commits, client) { _ = try await session.send(.multi([.check("/")])) }
    }

    private mutating func time(
        _ samples: WritableKeyPath<Rounds, [Duration]>, _ client: ZooKeeperClient, _ request: () async throws -> Void
    ) async throws {
        let began = client.clock.now
        do {
            try await request()
        } catch let error as ZooKeeperError where error.code == .noAuth {
            // The servers have executed the check, and refused it.
        } catch let error as ZooKeeperError where error.isTransient || error.code == .sessionExpired {
            failures += 1
            return
        }
        self[keyPath: samples].append(client.clock.now - began)
    }
}

/// Counts the losses of a connection.
private final class Outages: Sendable {
    private let counted = Mutex(0)

    var number: Int { counted.withLock { $0 } }

    func count(of client: ZooKeeperClient) async {
        for await state in client.states where state.isSuspended { counted.withLock { $0 += 1 } }
    }
}
