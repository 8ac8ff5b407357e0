/// A watch on a znode's data or on its list of children: what sets it, its one event, and the way to give it up.
///
/// It belongs to the session of the request that takes its ``sink``. Unlike a ``Watch``, it stays set when the last reference
/// to it goes: the event of a znode that its owner deletes takes it away without a request.
package final class OneShotWatch: Sendable {
    package let path: String
    private let kind: WatchedKind
    private let core: ClientCore
    /// For the request that sets the watch.
    package let sink: WatchSink
    package let event = OneShot<WatchEvent>()

    /// - Parameters:
    ///   - share: Whose room the watch takes; `nil` for what a lock or an election cannot do without.
    ///   - handler: Called with the event, on the delivering thread: it must not block.
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
    /// - Throws: `CancellationError` if the task is cancelled; the watch has been given up then.
    @discardableResult
    package func wait() async throws -> WatchEvent {
        do { return try await event.wait() } catch {
            giveUp()
            throw error
        }
    }

    /// Gives the watch up, and has the server forget it if nobody else watches the same.
    ///
    /// Nothing is sent if the event has come, or the watch was never set.
    package func giveUp() {
        core.giveUp(sink, path: path, kind: kind)
    }
}
