import ZooKeeper
import ZooKeeperSimulator

/// What kind of world a schedule has: how fast, how unreliable, and what strikes in it.
///
/// Each seed has few kinds of trouble rather than a little of each: rare combinations come up sooner that way.
struct Profile {
    var servers: Int
    /// What servers grant at most.
    var sessionTimeout: Duration
    /// What clients ask for; the servers' minimum may be longer.
    var requestedTimeout: Duration
    /// The shortest timeout that each server grants, in turn; two ticks where there is none.
    var sessionMinimums: [Duration] = []
    /// The servers' tick; the session timeout is at least two.
    var tick: Duration
    var syncLimit: Int
    var library = ClientLibrary.Settings()
    /// The latency between servers.
    var quorumLatency = Latency()
    var clockRates: [Double]
    var serverClockRates: [Double] = [1]
    var freezesAtClockOnceIn: Int
    var faults: [Fault]
    var faultPause: ClosedRange<Duration>
    /// For how long faults strike: many short schedules find more than few long ones.
    var trouble: Duration
    /// Whether the world has what older ones had not: see ``widen(_:)``.
    private(set) var isWide = false

    /// A grant whose znode was deleted is valid no longer than what was sure at that moment, by clocks that differ.
    var deletionNoticedWithin: Duration { sessionTimeout * 1.05 }

    init(seed: UInt64, _ chance: inout Chance) {
        servers = chance.pick([1, 3, 3, 3, 5])
        sessionTimeout = chance.pick([.seconds(2), .seconds(4)])
        requestedTimeout = sessionTimeout
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
        faults = Fault.usual.filter { _ in chance.oneIn(3) }
        trouble = chance.duration(.seconds(3) ... .seconds(12))
        faultPause = chance.pick([.milliseconds(50) ... .seconds(1), .milliseconds(200) ... .seconds(4)])
        // Without a draw, so that the worlds of other seeds stay what they were.
        if seed % 8 == 4 { faults.append(.stop) }
        if seed % 8 == 0 || seed % 8 == 7 {
            var own = Chance(seed: ~seed)
            widen(&own)
        }
    }

    /// Long and short sessions, servers that grant more than is asked for, clocks that differ by all that is promised to be
    /// borne, leaders that stand still and come back, packets that are sent again late.
    private mutating func widen(_ chance: inout Chance) {
        isWide = true
        sessionTimeout = chance.pick([.seconds(1), .seconds(2), .seconds(6), .seconds(20), .seconds(60)])
        requestedTimeout = sessionTimeout / chance.pick([1, 1, 2, 5])
        tick = sessionTimeout / chance.pick([2, 4, 10])
        // Two clocks differ by the whole margin of 5 % at most.
        clockRates = chance.pick([[1], [0.976, 1, 1.024]])
        serverClockRates = chance.pick([[1], [1.024, 1, 0.976], [1.024]])
        faults = Fault.allCases.filter { _ in chance.oneIn(4) }
        faults += chance.pick([[.pausedServer], [.gap], [.gap, .move, .partition], [.pausedServer, .move]])
        trouble += sessionTimeout * chance.pick([1, 2])
        faultPause = faultPause.lowerBound...max(faultPause.upperBound, sessionTimeout / 4)
        if requestedTimeout < sessionTimeout {
            // A client with a longer timeout from another server must keep it.
            let least = max(requestedTimeout, tick * 2)
            sessionMinimums = chance.pick([[sessionTimeout], [sessionTimeout, least], [least, sessionTimeout, least]])
        }
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
    /// A server stands still, above all the one that leads, and comes back.
    case pausedServer
    /// A packet of a connection is lost and sent again late; what was sent after it waits for it.
    case gap

    /// Those of every world.
    static let usual = allCases.filter { ![.stop, .pausedServer, .gap].contains($0) }
}
