/// Numbers a client's connections, and records what they show of its session.
struct ConnectionRecord {
    /// Counts connection objects; what an earlier one still reports is ignored.
    private(set) var number = 0
    /// Counts how often a connection was established, also one and the same object's.
    private(set) var establishments = 0
    /// A lower bound for the time at which the current connection was established.
    private(set) var establishedAfter = MonotonicInstant.distantPast
    /// When the session is known to have been alive at the servers: unlike ``establishedAfter``, attempts do not count.
    private(set) var aliveAt = MonotonicInstant.distantPast

    /// A new connection object is about to be opened; returns its number.
    mutating func open(now: MonotonicInstant) -> Int {
        (number, establishedAfter) = (number + 1, now)
        return number
    }

    /// The transport has established the connection.
    mutating func established() { establishments += 1 }

    /// The session was granted or resumed on the connection.
    mutating func connected() { aliveAt = max(aliveAt, establishedAfter) }

    /// A server has answered: whatever connection follows this one is established after the request was sent.
    mutating func answered(sentAt sent: MonotonicInstant) {
        establishedAfter = max(establishedAfter, sent)
        aliveAt = max(aliveAt, sent)
    }
}
