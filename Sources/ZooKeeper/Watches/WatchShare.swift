/// One of the parties that share the room for watches: a cache, or all watches that the program sets itself.
///
/// After a reconnect, the C client sets all watches of a session again in one packet, which must not be larger than
/// ``ZooKeeperClientConfiguration/maximumPacketSize``. Each watch takes the length of its path, including the chroot,
/// and 4 bytes. The room is distributed as follows:
///
/// - Vital watches have no share. Locks, elections and windows depend on them: they watch held znodes, predecessors,
///   signals and stragglers. They may take all of the room. If they need more room than is free, shared watches are
///   evicted: their sinks report that they were interrupted.
/// - The shared watches leave a quarter of the room free for vital watches, or an eighth of the room more than the
///   vital watches currently take, if that is larger.
/// - One share may take twice as much as it leaves to the others: a single share has two thirds of the shared room, and
///   a second one two thirds of the remainder. A share whose watches fire returns room to shares that have less.
///
/// A watch that finds no room is refused before anything is sent; ``ZooKeeperError/isWatchRefusal`` is then `true`.
package final class WatchShare: Sendable {
    package init() {}
}
