import ZooKeeper

/// Everything that the doctor measured and read; the rules evaluate it without further requests.
struct Measurements: Sendable {
    /// The time for which round trips and stalls were measured.
    var duration: Duration = .zero
    /// The session timeout that was requested, and the one that the server granted.
    var requestedTimeout: Duration = .zero
    var negotiatedTimeout: Duration = .zero
    /// Round trips to the connected server.
    var reads = Samples()
    /// Round trips through the leader: `sync`.
    var syncs = Samples()
    /// Writes that a majority commits: transactions that only check a znode.
    var commits = Samples()
    /// The number of times that the connection was lost.
    var lostConnections = 0
    /// The number of requests that failed.
    var failedRequests = 0
    var host = HostMeasurements()
    /// The difference of the clocks; `nil` if no znode could be created.
    var skew: MeasuredSkew?
    /// Whether the connection is encrypted by this client itself.
    var isEncrypted = false
    /// The servers of the connection string; empty if they were not asked, because their ports accept only TLS.
    var servers: [ServerReport] = []
    /// The members of the ensemble as the servers store them; `nil` if they are unknown.
    var members: EnsembleMembers?
    /// The maximum size of a packet that this client sends.
    var maximumPacketSize = 1_048_575
    /// The znodes that were named on the command line.
    var paths: [PathReport] = []
    /// Checks that were not made, with the reasons.
    var skipped: [String] = []

    /// The 99 % quantile of the slowest kind of round trip.
    var roundTrip: Duration { max(reads.quantile(0.99), syncs.quantile(0.99), commits.quantile(0.99)) }
}

/// The behaviour of this host while nothing was asked of it.
struct HostMeasurements: Sendable, Equatable {
    /// The longest time by which a thread that sleeps for 1 ms woke up late.
    var longestStall: Duration = .zero
    /// The number of times that it was late by more than 50 ms.
    var stalls = 0
    /// The steps of the wall clock against the monotonic clock.
    var clockSteps: [Duration] = []
}

/// The difference between this host's clock and the ensemble's.
struct MeasuredSkew: Sendable, Equatable {
    /// The time by which this host's clock is ahead; negative if it is behind.
    var ahead: Duration
    /// The maximum error of ``ahead``.
    var error: Duration

    /// Creates the skew that a write shows.
    ///
    /// - Parameters:
    ///   - sent: The wall-clock time, since 1970, when the write was sent.
    ///   - roundTrip: The duration of the write.
    ///   - stamped: The time of the write by the leader's clock.
    init(sent: Duration, roundTrip: Duration, stamped: Duration) {
        ahead = sent + roundTrip / 2 - stamped
        // The server's time is in whole milliseconds.
        error = roundTrip / 2 + .milliseconds(1)
    }

    /// The difference that is certain.
    var certain: Duration { max(.zero, (ahead < .zero ? .zero - ahead : ahead) - error) }
}

/// A znode that was named on the command line.
struct PathReport: Sendable {
    enum Problem: Sendable, Equatable { case missing, refused }

    var path: String
    var problem: Problem?
    var acl: [ACL] = []
    var children = 0
}

/// The members of an ensemble, from the configuration that the servers store.
struct EnsembleMembers: Sendable, Equatable {
    var voters: Int
    var observers: Int

    /// Parses the text of `/zookeeper/config`; `nil` if it lists no servers, as that of a standalone server.
    init?(_ text: String) {
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("server.") }
        guard !lines.isEmpty else { return nil }
        observers = lines.count { $0.contains(":observer") }
        voters = lines.count - observers
    }
}
