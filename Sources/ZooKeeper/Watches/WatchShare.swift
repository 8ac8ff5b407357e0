/// One party that shares the room for watches with others: a cache, or all watches that the program sets itself.
///
/// After a reconnect the C client sets all of a session's watches again in one packet, which may not be larger than
/// ``ZooKeeperClientConfiguration/maximumPacketSize``. Each watch takes the length of its path, the chroot included, and
/// 4 bytes. The room is given out like this:
///
/// - Vital watches, which have no share, are for what locks, elections and windows cannot do without: own znodes,
///   predecessors, signals and stragglers. They may take all of the room. When they need more than is free, shared watches
///   make way: their sinks are told that they were interrupted.
/// - The shared watches leave a quarter of the room free for vital ones, or an eighth more than those have at the moment.
/// - One share may take twice as much as it leaves to the others: one alone has two thirds of the shared room, and a second
///   one two thirds of what is left. A share whose watches fire gives room back to those that have less.
///
/// A watch that finds no room is refused before anything is sent; ``ZooKeeperError/isWatchRefusal`` tells.
package final class WatchShare: Sendable {
    package init() {}
}
