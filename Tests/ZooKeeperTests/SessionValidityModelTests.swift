import Testing

@testable import ZooKeeper

/// A client, the follower that it is connected to, and the leader, with links between them that keep the order and stall.
///
/// Whatever the links do, the leader must not let the session go before the client's deadline.
@Suite
struct SessionValidityModelTests {
    @Test(arguments: 0..<100 as Range<UInt64>)
    func `the leader never lets the session go before the deadline`(seed: UInt64) {
        var model = Model(seed: seed, rule: Rule(validity: SessionValidity(margin: 0)))
        model.run()
        #expect(model.rule.validUntil <= model.expiry, "\(model.rule.validUntil - model.expiry) too late")
    }

    @Test func `the model finds that a rule without an echo is wrong`() {
        let violations = (0..<100 as Range<UInt64>).count { seed in
            var model = Model(seed: seed, rule: RuleWithoutEcho())
            model.run()
            return model.rule.validUntil > model.expiry
        }
        #expect(violations > 0)
    }

    @Test func `the deadline moves in the model`() {
        let moved = (0..<100 as Range<UInt64>).count { seed in
            var model = Model(seed: seed, rule: Rule(validity: SessionValidity(margin: 0)))
            model.run()
            return model.rule.validUntil > Model<Rule>.start + Model<Rule>.timeout
        }
        #expect(moved > 50)
    }
}

// MARK: Rules

private protocol ValidityRule {
    var validUntil: MonotonicInstant { get }
    mutating func connected(since: MonotonicInstant, timeout: Duration)
    mutating func answered(sentAt: MonotonicInstant, at: MonotonicInstant, as: SessionValidity.Answer)
}

private struct Rule: ValidityRule {
    var validity: SessionValidity
    var validUntil: MonotonicInstant { validity.validUntil }

    mutating func connected(since: MonotonicInstant, timeout: Duration) {
        validity.connected(since: since, timeout: timeout)
    }

    mutating func answered(sentAt sent: MonotonicInstant, at now: MonotonicInstant, as answer: SessionValidity.Answer) {
        validity.answered(sentAt: sent, at: now, as: answer)
    }
}

/// Takes for granted that the leader's pings reach the follower in time: activity a gap between pings before the proof.
private struct RuleWithoutEcho: ValidityRule {
    var validUntil = MonotonicInstant.distantPast
    private var activities: [MonotonicInstant] = []
    private var timeout = Duration.zero

    mutating func connected(since: MonotonicInstant, timeout: Duration) {
        activities = [since]
        self.timeout = timeout
    }

    mutating func answered(sentAt sent: MonotonicInstant, at now: MonotonicInstant, as answer: SessionValidity.Answer) {
        if answer == .proof, let told = activities.last(where: { $0 <= sent - timeout * 0.27 }) {
            validUntil = max(validUntil, told + timeout)
        }
        activities.append(sent)
    }
}

// MARK: The model

private struct Model<R: ValidityRule> {
    enum Place: Int { case client, follower, leader }

    struct Request {
        var number: Int
        var kind: SessionValidity.Answer
        var sent: MonotonicInstant
    }

    enum Message {
        case request(Request)
        case answer(Request)
        case ping
        /// What the follower tells with its answer to a ping: whether the session was active.
        case active(Bool)
    }

    enum Event {
        case arrives(Message, at: Place)
        case clientSends
        case leaderPings
        case linkStalls
    }

    /// Messages arrive in the order in which they left.
    struct Link {
        var stalledUntil = MonotonicInstant.distantPast
        var lastArrival = MonotonicInstant.distantPast
    }

    static var timeout: Duration { .seconds(10) }
    static var start: MonotonicInstant { MonotonicInstant(nanoseconds: 0) }

    var rule: R
    /// When the leader lets the session go.
    private(set) var expiry = start + timeout
    private var generator: SeededGenerator
    private var now = start
    private var events: [(at: MonotonicInstant, event: Event)] = []
    /// To the leader, from it; to the follower from the client, and back.
    private var links = Array(repeating: Link(), count: 4)
    private var isActiveAtFollower = false
    private var requestsAtFollower: [(request: Request, isReady: Bool)] = []
    private var lastNumber = 0
    private let pause: Double

    init(seed: UInt64, rule: R) {
        generator = SeededGenerator(seed: seed)
        self.rule = rule
        pause = [0.02, 0.1, 0.4][Int.random(in: 0..<3, using: &generator)]
        self.rule.connected(since: now, timeout: Self.timeout)
        for event in [.clientSends, .leaderPings, .linkStalls] as [Event] { schedule(event, in: 0...0.1) }
    }

    /// Runs until the leader has let the session go and everything on the way has arrived, at most 15 timeouts.
    mutating func run() {
        while let index = events.indices.min(by: { events[$0].at < events[$1].at }) {
            let (instant, event) = events.remove(at: index)
            now = instant
            guard now < expiry + Self.timeout * 3, now < Self.start + Self.timeout * 15 else { return }
            perform(event)
        }
    }

    private mutating func perform(_ event: Event) {
        switch event {
        case .clientSends:
            lastNumber += 1
            let kinds = [.activity, .activity, .echo, .proof] as [SessionValidity.Answer]
            let kind = kinds[Int.random(in: 0..<4, using: &generator)]
            send(.request(Request(number: lastNumber, kind: kind, sent: now)), on: 2, to: .follower)
            schedule(.clientSends, in: 0...pause)
        case .leaderPings:
            send(.ping, on: 1, to: .follower)
            // The timeout is two ticks.
            schedule(.leaderPings, in: 0.25...0.26)
        case .linkStalls:
            let length = Self.timeout * Double.random(in: 0...1.5, using: &generator)
            links[Int.random(in: 0..<4, using: &generator)].stalledUntil = now + length
            schedule(.linkStalls, in: 0...2)
        case .arrives(let message, let place): receive(message, at: place)
        }
    }

    private mutating func receive(_ message: Message, at place: Place) {
        switch (message, place) {
        case (.request(let request), .follower):
            isActiveAtFollower = true
            requestsAtFollower.append((request, request.kind == .activity))
            if request.kind > .activity { send(message, on: 0, to: .leader) }
            answerWhatIsReady()
        case (.request(let request), .leader):
            // A write of a session that is gone fails.
            let isProof = request.kind == .proof && now < expiry
            var answer = request
            if request.kind == .proof, !isProof { answer.kind = .activity }
            send(.answer(answer), on: 1, to: .follower)
        case (.answer(let answer), .follower):
            guard let index = requestsAtFollower.firstIndex(where: { $0.request.number == answer.number }) else {
                break
            }
            requestsAtFollower[index] = (answer, true)
            answerWhatIsReady()
        case (.answer(let answer), _): rule.answered(sentAt: answer.sent, at: now, as: answer.kind)
        case (.ping, _):
            send(.active(isActiveAtFollower), on: 0, to: .leader)
            isActiveAtFollower = false
        case (.active(let isActive), _): if isActive, now < expiry { expiry = now + Self.timeout }
        case (.request, .client): break
        }
    }

    /// One session's requests are answered in their order.
    private mutating func answerWhatIsReady() {
        while let first = requestsAtFollower.first, first.isReady {
            requestsAtFollower.removeFirst()
            send(.answer(first.request), on: 3, to: .client)
        }
    }

    private mutating func send(_ message: Message, on link: Int, to place: Place) {
        let delay = Self.timeout * Double.random(in: 0...0.01, using: &generator)
        let arrival = max(now + delay, links[link].stalledUntil, links[link].lastArrival + .nanoseconds(1))
        links[link].lastArrival = arrival
        events.append((arrival, .arrives(message, at: place)))
    }

    private mutating func schedule(_ event: Event, in range: ClosedRange<Double>) {
        events.append((now + Self.timeout * Double.random(in: range, using: &generator), event))
    }
}
