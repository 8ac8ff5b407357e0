/// What a watch has seen.
///
/// A watch tells that something changed, not what is true now: changes that follow one another quickly, or that happened
/// while the connection was lost, show as one event. Read again to know.
public struct WatchEvent: Sendable, Hashable, CustomStringConvertible {
    /// What has happened.
    public enum Kind: Sendable, Hashable {
        /// The znode was created.
        case created
        /// The znode was deleted.
        case deleted
        /// The znode's data was written, or it was deleted and created again while the connection was lost.
        case dataChanged
        /// A child was created or deleted.
        case childrenChanged
        /// The watch was lost while the session still exists: read and watch again.
        ///
        /// It was lost with its connection, or it was removed in favour of a watch that a lock or an election needs.
        case interrupted
        /// The watch was lost with its session, or because the client stopped.
        case sessionEnded
    }

    /// What has happened.
    public let kind: Kind
    /// The path of the znode that was watched.
    @ZNodeName public private(set) var path: String

    /// The event in words.
    public var description: String { "\(kind) at \(path)" }
}

/// A one-shot watch: one event, awaited.
///
/// The watch is taken away from the server when the task that waits for its event is cancelled, when ``cancel()`` is
/// called, or when the last reference to it goes.
public final class Watch: Sendable {
    private let watch: OneShotWatch
    /// The znode that is watched.
    public var path: String { watch.path }

    init(_ watch: OneShotWatch) {
        self.watch = watch
    }

    deinit {
        if !watch.hasFired { watch.giveUp() }
    }

    /// Waits for the event; returns at once when it has come already.
    ///
    /// - Throws: `CancellationError` when the task is cancelled; the watch is gone then.
    public func event() async throws -> WatchEvent {
        do { return try await watch.event.wait() } catch {
            cancel()
            throw error
        }
    }

    /// Gives the watch up: its event becomes ``WatchEvent/Kind/interrupted``.
    ///
    /// Costs one request when nobody else watches the same znode in this client.
    public func cancel() {
        if watch.event.set(WatchEvent(kind: .interrupted, path: path)) { watch.giveUp() }
    }
}
