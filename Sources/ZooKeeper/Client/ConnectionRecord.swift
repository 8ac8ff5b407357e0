/// Numbers the connections of a client, and records their evidence for its session.
struct ConnectionRecord {
    /// The number of connection objects created so far; events of earlier objects are ignored.
    private(set) var number = 0
    /// The number of times that a connection was established, including repeated ones of the same object.
    private(set) var establishments = 0
    /// A lower bound for the time when the current connection was established.
    private(set) var establishedAfter = MonotonicInstant.distantPast
    /// The last time when the session is known to have been alive at the servers.
    ///
    /// Unlike ``establishedAfter``, it does not count attempts to connect.
    private(set) var aliveAt = MonotonicInstant.distantPast

    /// Records that a new connection object is about to be opened; returns its number.
    mutating func open(now: MonotonicInstant) -> Int {
        (number, establishedAfter) = (number + 1, now)
        return number
    }

    /// Records that the transport has established the connection.
    mutating func established() { establishments += 1 }

    /// Records that the session was granted or resumed on the connection.
    mutating func connected() { aliveAt = max(aliveAt, establishedAfter) }

    /// Records that a server has answered: every later connection is established after the request was sent.
    mutating func answered(sentAt sent: MonotonicInstant) {
        establishedAfter = max(establishedAfter, sent)
        aliveAt = max(aliveAt, sent)
    }
}
