internal import ZooKeeper

/// One direction of a connection: messages arrive late, in their order, or not at all.
package final class Link<Message> {
    private let simulation: Simulation
    package var latency: Latency
    /// Whose code receives; `nil` while nobody's does.
    var receiver: SimulatedProcess?
    private let receive: (Message) -> Void
    private var queue: [Message] = []
    private var lastArrival: MonotonicInstant
    private var heldArrivals = 0
    /// Messages stay on the way, as behind a firewall that drops packets.
    private(set) package var isHeld = false
    private var isCut = false

    package init(
        in simulation: Simulation, latency: Latency, to receiver: SimulatedProcess? = nil,
        receive: @escaping (Message) -> Void
    ) {
        self.simulation = simulation
        self.latency = latency
        self.receiver = receiver
        self.receive = receive
        lastArrival = simulation.now
    }

    package func send(_ message: Message) {
        guard !isCut else { return }
        queue.append(message)
        lastArrival = max(lastArrival, simulation.now + latency.draw(&simulation.chance))
        simulation.at(lastArrival, by: receiver) { self.arrive() }
    }

    private func arrive() {
        if isHeld {
            heldArrivals += 1
        } else if !queue.isEmpty {
            receive(queue.removeFirst())
        }
    }

    /// Lets nothing arrive until it is released.
    package func hold() {
        isHeld = true
    }

    package func release() {
        isHeld = false
        for _ in 0..<heldArrivals { simulation.after(.zero, by: receiver) { self.arrive() } }
        heldArrivals = 0
    }

    /// Loses what is on the way, and all that will be sent.
    package func cut() {
        isCut = true
        queue = []
        heldArrivals = 0
    }
}

/// How long messages take.
package struct Latency: Sendable {
    package var usual: ClosedRange<Duration>
    /// One message in so many is slow; 0 for none.
    package var slowOnceIn: Int
    package var slow: ClosedRange<Duration>

    package init(
        usual: ClosedRange<Duration> = .microseconds(50) ... .milliseconds(1), slowOnceIn: Int = 0,
        slow: ClosedRange<Duration> = .milliseconds(1) ... .milliseconds(300)
    ) {
        self.usual = usual
        self.slowOnceIn = slowOnceIn
        self.slow = slow
    }

    func draw(_ chance: inout Chance) -> Duration {
        chance.duration(slowOnceIn > 0 && chance.oneIn(slowOnceIn) ? slow : usual)
    }
}
