import Logging
import Metrics
import Synchronization
import ZooKeeperTransport

@testable import ZooKeeper

/// Stands still until it is set; nobody sleeps on it.
final class StillClock: MonotonicClock {
    private let nanoseconds = Atomic<Int64>(0)

    var now: MonotonicInstant { MonotonicInstant(nanoseconds: nanoseconds.load(ordering: .sequentiallyConsistent)) }

    func set(_ time: Duration) {
        nanoseconds.store(
            (MonotonicInstant(nanoseconds: 0) + time).nanoseconds, ordering: .sequentiallyConsistent)
    }

    func sleep(until deadline: MonotonicInstant) async throws {
        try await OneShot<Void>().wait()
    }
}

/// Connects to nothing.
struct NoTransport: Transport {
    func makeConnection(
        to endpoint: TransportEndpoint, receive: @escaping @Sendable (TransportEvent) -> Void
    ) -> any TransportConnection { NoConnection() }
}

private final class NoConnection: TransportConnection {
    func open() {}
    func submit(_ request: TransportRequest, completion: @escaping @Sendable (TransportReply) -> Void) {}
    func close(_ end: TransportClose) async -> Bool { true }
}

extension ZooKeeperClient {
    /// A client that never connects.
    static func withoutServer(
        clock: any MonotonicClock, metricsFactory: (any MetricsFactory)? = nil
    ) throws -> ZooKeeperClient {
        try ZooKeeperClient(
            configuration: .init(connectionString: "127.0.0.1:1"), transport: NoTransport(),
            resolver: SystemNameResolver(), clock: clock, logger: Logger(label: "test"),
            metricsFactory: metricsFactory)
    }
}

extension SessionHandle {
    /// A session that no server has granted; what it proves is told by the test.
    static func handMade(of client: ZooKeeperClient) -> SessionHandle {
        SessionHandle(Session(id: SessionID(rawValue: 1), epoch: 1, timeout: .seconds(4)), core: client.core)
    }

    /// A hold that is watched: as far as its znode goes it is valid without limit.
    func holdWatched(_ path: String, czxid: Int64, of client: ZooKeeperClient) -> HeldNode {
        let hold = HeldNode(
            path: path, czxid: ZXID(rawValue: czxid), session: self, core: client.core, sureUntil: validUntil)
        hold.confirmWatch()
        return hold
    }
}
