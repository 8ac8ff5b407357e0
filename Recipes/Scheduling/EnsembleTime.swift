internal import ZooKeeper

/// The difference between a node's wall clock and the ensemble's clock.
public struct ClockSkew: Sendable, Hashable, CustomStringConvertible {
    /// The time by which the node's clock is ahead of the ensemble's; negative if it is behind.
    public var ahead: Duration
    /// The maximum error of ``ahead``: half of the duration of the measurement, plus 1 ms.
    public var error: Duration

    /// Returns whether the clocks certainly differ by more than a limit.
    public func exceeds(_ limit: Duration) -> Bool {
        (ahead < .zero ? .zero - ahead : ahead) - error > limit
    }

    /// The difference and its maximum error, in seconds.
    public var description: String {
        let text = (ahead.inSeconds * 1000).rounded() / 1000
        return "\(text) s ahead of the ensemble, give or take \((error.inSeconds * 1000).rounded() / 1000) s"
    }
}

/// One reading of the ensemble's clock, which is the wall clock of the ensemble's leader as it stamps writes.
struct EnsembleTime: Sendable, Hashable {
    /// The time at which the response arrived, on the node's monotonic clock.
    let read: MonotonicInstant
    /// The time that the ensemble's clock showed at least at that moment: the reported time is never ahead of it.
    let time: Timestamp
    let skew: ClockSkew

    /// Creates a reading from one write.
    ///
    /// - Parameters:
    ///   - sent: The time at which the write was sent.
    ///   - received: The time after the response arrived and the wall clock was read.
    ///   - wall: The time of this node's wall clock in between.
    ///   - written: The time of the write as stamped by the server, rounded down.
    init(sent: MonotonicInstant, received: MonotonicInstant, wall: Timestamp, written: Timestamp) {
        read = received
        time = written
        let half = (received - sent) / 2
        skew = ClockSkew(ahead: wall - written - half, error: half + .milliseconds(1))
    }

    /// Returns the ensemble's time at an instant of the node's monotonic clock.
    func time(at instant: MonotonicInstant) -> Timestamp { time + (instant - read) }

    /// Returns the instant of the node's monotonic clock at which the ensemble's clock will show a time.
    func instant(of time: Timestamp) -> MonotonicInstant {
        read + min(max(time - self.time, .seconds(-1_000_000_000)), .seconds(1_000_000_000))
    }
}

/// A reader of the ensemble's clock, which writes a znode and takes the time of the change.
struct EnsembleClock: Sendable {
    let client: ZooKeeperClient
    let path: String
    /// The data that each reading writes.
    let record: ClockRecord
    let wallClock: @Sendable () -> Timestamp

    /// Reads the ensemble's clock.
    ///
    /// - Throws: `ZooKeeperError`; `CancellationError`.
    /// - Complexity: 1 write; up to 3 if responses are slow. If the znode does not exist, its creation and another
    ///   write.
    func read() async throws -> EnsembleTime {
        var best: EnsembleTime?
        for _ in 0..<3 {
            let time = try await readOnce()
            if best.map({ time.skew.error < $0.skew.error }) ?? true { best = time }
            if time.skew.error < .milliseconds(250) { return time }
        }
        guard let best else { throw ZooKeeperError(.operationTimeout, path: path) }
        return best
    }

    private func readOnce() async throws -> EnsembleTime {
        while true {
            // Waits for a session first, so that the wait is not part of the measurement.
            let session = try await client.connectedSession()
            let sent = client.clock.now
            do {
                let written = try await session.send(.setData(path: path, data: record.bytes)).stat.mtime
                // The wall clock is read before the monotonic clock. A pause of the process in between then increases
                // the error of the measurement, but does not change the skew.
                let wall = wallClock()
                return EnsembleTime(sent: sent, received: client.clock.now, wall: wall, written: written)
            } catch let error as ZooKeeperError where error.code == .noNode {
                try await create()
            }
        }
    }

    private func create() async throws {
        do {
            try await client.create(path, parents: true)
        } catch let error as ZooKeeperError where error.code == .nodeExists {
            return
        }
    }
}
