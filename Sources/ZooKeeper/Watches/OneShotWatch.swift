/// A watch on the data or the list of children of a znode: the sink for the request that sets it, its one event, and
/// its removal.
///
/// It belongs to the session of the request that takes its ``sink``. Unlike a ``Watch``, it stays set when the last
/// reference to it is released: if the owner of a znode deletes the znode, the event removes the watch without a
/// request.
package final class OneShotWatch: Sendable {
    package let path: String
    private let kind: WatchedKind
    private let core: ClientCore
    /// The sink for the request that sets the watch.
    package let sink: WatchSink
    package let event = OneShot<WatchEvent>()

    /// Creates a watch.
    ///
    /// - Parameters:
    ///   - share: The share that the watch takes room from; `nil` for a watch that a lock or an election depends on.
    ///   - handler: Called with the event, on the delivering thread. It must not block.
    package convenience init(
        _ client: ZooKeeperClient, path: String, kind: WatchedKind = .data, share: WatchShare? = nil,
        handler: (@Sendable (WatchEvent) -> Void)? = nil
    ) {
        self.init(client.core, path: path, kind: kind, share: share, handler: handler)
    }

    init(
        _ core: ClientCore, path: String, kind: WatchedKind = .data, share: WatchShare? = nil,
        handler: (@Sendable (WatchEvent) -> Void)? = nil
    ) {
        self.path = path
        self.kind = kind
        self.core = core
        sink = WatchSink(share: share) { [event] in
            event.set($0)
            handler?($0)
        }
    }

    package var hasFired: Bool { event.value != nil }

    /// Waits for the event.
    ///
    /// - Throws: `CancellationError` if the task is cancelled; the watch is then removed.
    @discardableResult
    package func wait() async throws -> WatchEvent {
        do { return try await event.wait() } catch {
            giveUp()
            throw error
        }
    }

    /// Removes the watch, also on the server if no other watch of this client is set on the same znode and kind.
    ///
    /// It sends nothing if the event has been received, or if the watch was never set.
    package func giveUp() {
        core.giveUp(sink, path: path, kind: kind)
    }
}
