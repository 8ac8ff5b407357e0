/// The event of a watch.
///
/// An event reports that something changed, not the current state. Changes in quick succession, or during a lost
/// connection, are reported as one event. Read the znode again to get its state.
public struct WatchEvent: Sendable, Hashable, CustomStringConvertible {
    /// The kind of a change.
    public enum Kind: Sendable, Hashable {
        /// The znode was created.
        case created
        /// The znode was deleted.
        case deleted
        /// The data of the znode was written, or the znode was deleted and created again while the connection was lost.
        case dataChanged
        /// A child was created or deleted.
        case childrenChanged
        /// The watch was lost, but the session still exists: read and watch again.
        ///
        /// It was lost with its connection, or it was evicted for a watch that a lock or an election needs.
        case interrupted
        /// The watch was lost with its session, or because the client stopped.
        case sessionEnded
    }

    /// The kind of the change.
    public let kind: Kind
    /// The path of the znode that was watched.
    @ZNodeName public private(set) var path: String

    /// The event as text.
    public var description: String { "\(kind) at \(path)" }
}

/// A one-shot watch, which delivers one event.
///
/// The watch is removed from the server if the task that waits for its event is cancelled, if ``cancel()`` is called,
/// or if the last reference to it is released.
public final class Watch: Sendable {
    private let watch: OneShotWatch
    /// The path of the watched znode.
    public var path: String { watch.path }

    init(_ watch: OneShotWatch) {
        self.watch = watch
    }

    deinit {
        if !watch.hasFired { watch.giveUp() }
    }

    /// Waits for the event; returns immediately if it was received before.
    ///
    /// - Returns: The event.
    /// - Throws: `CancellationError` if the task is cancelled; the watch is then removed.
    /// - Complexity: Sends no request. If the task is cancelled, at most 1 request in the background, which removes the
    ///   watch.
    public func event() async throws -> WatchEvent {
        do { return try await watch.event.wait() } catch {
            cancel()
            throw error
        }
    }

    /// Whether the event was received.
    package var hasFired: Bool { watch.hasFired }

    /// Calls a closure when the event is received, or immediately if it was received before; it must not block.
    package func observe(_ call: @escaping @Sendable () -> Void) { watch.event.observe { _ in call() } }

    /// Removes the watch; its event becomes ``WatchEvent/Kind/interrupted``.
    ///
    /// If no other watch of this client is set on the same znode, this takes 1 request in the background. If the event
    /// was received before, this has no effect.
    public func cancel() {
        if watch.event.set(WatchEvent(kind: .interrupted, path: path)) { watch.giveUp() }
    }
}
