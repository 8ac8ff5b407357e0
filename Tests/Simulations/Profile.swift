import ZooKeeper
import ZooKeeperTestKit

/// What kind of world a schedule has: how fast, how unreliable, and what strikes in it.
///
/// Each seed has few kinds of trouble rather than a little of each: rare combinations come up sooner that way.
struct Profile {
    var servers: Int
    var sessionTimeout: Duration
    /// The servers' tick; the session timeout is at least two.
    var tick: Duration
    var syncLimit: Int
    var library = ClientLibrary.Settings()
    /// The latency between servers.
    var quorumLatency = Latency()
    var clockRates: [Double]
    var freezesAtClockOnceIn: Int
    var faults: [Fault]
    var faultPause: ClosedRange<Duration>
    /// For how long faults strike: many short schedules find more than few long ones.
    var trouble: Duration

    /// - Parameter stopsClients: Whether programs are told to end in the middle of what they do.
    init(_ chance: inout Chance, stopsClients: Bool) {
        servers = chance.pick([1, 3, 3, 3, 5])
        sessionTimeout = chance.pick([.seconds(2), .seconds(4)])
        tick = sessionTimeout / chance.pick([2, 4])
        syncLimit = chance.pick([2, 5, 10])
        let paces: [Latency] = [
            Latency(usual: .microseconds(20) ... .microseconds(200)),
            Latency(usual: .microseconds(50) ... .milliseconds(1), slowOnceIn: 50),
            Latency(usual: .milliseconds(1) ... .milliseconds(20), slowOnceIn: 20),
            Latency(
                usual: .milliseconds(1) ... .milliseconds(5), slowOnceIn: 30, slow: .milliseconds(100) ... .seconds(2)),
        ]
        library.latency = chance.pick(paces)
        library.callback = chance.pick([
            Latency(usual: .zero ... .zero),
            Latency(usual: .zero ... .zero, slowOnceIn: 20, slow: .microseconds(10) ... .milliseconds(50)),
            Latency(usual: .zero ... .milliseconds(2), slowOnceIn: 100, slow: .milliseconds(10) ... .seconds(3)),
        ])
        quorumLatency = chance.pick(paces)
        clockRates = chance.pick([[1], [0.98, 1, 1.02]])
        freezesAtClockOnceIn = chance.pick([0, 0, 500, 2000])
        faults = Fault.allCases.filter { $0 != .stop && chance.oneIn(3) }
        trouble = chance.duration(.seconds(3) ... .seconds(12))
        faultPause = chance.pick([.milliseconds(50) ... .seconds(1), .milliseconds(200) ... .seconds(4)])
        // Without a draw, so that the worlds of other seeds stay what they were.
        if stopsClients { faults.append(.stop) }
    }
}

/// What may strike.
enum Fault: CaseIterable {
    /// A connection breaks; what is on the way may have arrived or not.
    case reset
    /// Requests arrive and are executed, their answers are lost with the connection.
    case lostAnswers
    /// Requests are lost with the connection.
    case lostRequests
    /// Packets of a connection are dropped for a while; it may survive that.
    case silence
    /// A process reaches no server for a while.
    case cutOff
    /// A client is told to use other servers: a new connection for the same session.
    case move
    /// A process stands still for a while.
    case freeze
    /// A process is killed; another is started in its place.
    case kill
    case serverCrash
    /// Servers are cut from one another, and notice that late.
    case partition
    /// A server is far behind.
    case lag
    /// An administrator deletes a znode that somebody holds or waits by.
    case deletedNode
    /// An administrator touches such a znode's data: who watches it is told, and must watch again.
    case touchedNode
    /// Containers are reaped as soon as they are empty.
    case reaping
    /// A process's client is told to stop while it is used, and then the process; another is started in its place.
    case stop
}
