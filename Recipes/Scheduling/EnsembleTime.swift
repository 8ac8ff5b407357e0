internal import Foundation
internal import ZooKeeper

/// How far a node's wall clock is from the ensemble's.
public struct ClockSkew: Sendable, Hashable, CustomStringConvertible {
    /// How far the node's clock is ahead; negative when it is behind.
    public var ahead: Duration
    /// By how much that may be wrong: half of the time that the measurement took.
    public var error: Duration

    /// Whether the clocks differ by more than a limit for certain.
    public func exceeds(_ limit: Duration) -> Bool {
        (ahead < .zero ? .zero - ahead : ahead) - error > limit
    }

    /// In seconds.
    public var description: String {
        let text = (ahead.inSeconds * 1000).rounded() / 1000
        return "\(text) s ahead of the ensemble, give or take \((error.inSeconds * 1000).rounded() / 1000) s"
    }
}

/// One reading of the ensemble's clock: the leading server's wall clock, as it stamps what is written.
struct EnsembleTime: Sendable, Hashable {
    /// When the answer had come, on the node's monotonic clock.
    let read: MonotonicInstant
    /// What the ensemble's clock showed at least then: a time that is told is never ahead of it.
    let date: Date
    let skew: ClockSkew

    /// - Parameters:
    ///   - sent: When the write was sent.
    ///   - received: When its answer had come, and the wall clock had been read.
    ///   - wall: This node's wall clock in between.
    ///   - written: What the server noted as the time of the write: whole milliseconds, rounded down.
    init(sent: MonotonicInstant, received: MonotonicInstant, wall: Date, written: Duration) {
        read = received
        date = Date(timeIntervalSince1970: written.inSeconds)
        let half = (received - sent) / 2
        let atWrite = wall.addingTimeInterval(-half.inSeconds)
        // In milliseconds: a Date has no more to give.
        let ahead = Duration(nearest: atWrite.timeIntervalSince1970 - written.inSeconds).inSeconds * 1000
        skew = ClockSkew(ahead: .milliseconds(Int(ahead.rounded())), error: half + .milliseconds(1))
    }

    /// The ensemble's time at an instant of the node's monotonic clock.
    func date(at instant: MonotonicInstant) -> Date { date.addingTimeInterval((instant - read).inSeconds) }

    /// When the ensemble's clock will show a time.
    func instant(of date: Date) -> MonotonicInstant {
        let span = min(max(date.timeIntervalSince(self.date), -1e9), 1e9)
        return read + .milliseconds(Int((span * 1000).rounded(.up)))
    }
}

/// Reads the ensemble's clock, by a write to a znode that nobody reads.
struct EnsembleClock: Sendable {
    let client: ZooKeeperClient
    let path: String
    let node: String
    let wallClock: @Sendable () -> Date

    /// - Throws: `ZooKeeperError`; `CancellationError`.
    /// - Complexity: One write; up to three when answers are slow.
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
            // Sent in a session that stands: waiting for one is no part of the measurement.
            let session = try await client.liveSession()
            let sent = client.clock.now
            do {
                let written = try await session.send(.setData(path: path, data: Array(node.utf8))).stat.mtime
                // In this order: a process that stands still here measures with a larger error, and no other skew.
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
