internal import Logging
internal import Synchronization
internal import ZooKeeper

/// One participant of an election: what ``LeaderSelector`` and ``LeaderLatch`` are made of.
final class Election: Sendable {
    /// How soon a participant is to stop.
    enum Stop: Int, Comparable {
        case no, afterTerm, atOnce

        static func < (left: Stop, right: Stop) -> Bool { left.rawValue < right.rawValue }
    }

    struct Shared {
        var stop = Stop.no
        /// How a term ends that begins when it should not.
        var ending = Term.Ending.cancelled
        var term: Term?
        var terms = 0
        /// The candidate that waits, by its name, and its session.
        var waiting: (candidate: String, session: LiveSession)?
        /// A transfer that is under way.
        var transfer: OneShot<Void>?
    }

    /// For those who run many elections and decide themselves who should lead; called where it happens, must not block.
    struct Hooks: Sendable {
        /// Told of each state, in order.
        var onState: @Sendable (LeaderState) -> Void
        /// Somebody asks for the place of this participant, which leads.
        ///
        /// Nothing follows by itself. In place of priorities: while this participant is ready it asks every leader.
        var onTakeover: @Sendable (_ asker: String, _ candidate: ContenderName) -> Void
    }

    let client: ZooKeeperClient
    let path: String
    let id: String
    let kind: ContenderName.Kind
    let configuration: LeaderConfiguration
    let logger: Logger
    /// For how long a term that its leader ends in order may go on before its closure is cancelled.
    let grace: Duration
    let hooks: Hooks?
    let lead: @Sendable (Term) async throws -> Void

    let broadcast = Broadcast<LeaderState>(.waiting(position: nil))
    let readiness: Broadcast<Bool>
    let runOnce = RunOnce()
    let stopping = OneShot<Void>()
    /// Somebody may have asked something of this participant.
    let knocks = WakeUp()
    let ended = OneShot<Void>()
    let shared = Mutex(Shared())

    init(
        client: ZooKeeperClient, path: String, id: String, kind: ContenderName.Kind,
        configuration: LeaderConfiguration, logger: Logger, grace: Duration = .zero,
        hooks: Hooks? = nil,
        lead: @escaping @Sendable (Term) async throws -> Void
    ) throws {
        guard try ZNodePath(path).string != "/" else {
            throw RecipeError(
                .invalidArgument, in: .election, path: path,
                message: "path is the root; name a znode of its own, such as /app/leader")
        }
        try configuration.validate(path: path)
        self.client = client
        self.path = path
        self.id = id
        self.kind = kind
        self.configuration = configuration
        self.grace = grace
        self.hooks = hooks
        self.lead = lead
        var logger = logger
        logger[metadataKey: "zookeeper.path"] = "\(path)"
        self.logger = logger
        readiness = Broadcast(configuration.isReadyAtStart)
    }

    /// The term that this participant is in; `nil` while it does not lead.
    var term: Term? {
        guard let term = shared.withLock({ $0.term }), term.isValid else { return nil }
        return term
    }

    func run() async throws {
        try runOnce.begin("a participant", in: .election, path: path)
        let failure = await runOnce.run {
            var loop = ElectionLoop(election: self)
            return await loop.run()
        } onCancel: {
            self.stop(.atOnce, .cancelled)
        } onGracefulShutdown: {
            self.stop(self.configuration.onGracefulShutdown == .cancelTerm ? .atOnce : .afterTerm, .shutdown)
        }
        end()
        if let failure { throw failure }
    }

    /// Has the participant leave the election; what it is in ends as `ending` says.
    func stop(_ stop: Stop, _ ending: Term.Ending) {
        let term = shared.withLock { shared in
            shared.stop = max(shared.stop, stop)
            shared.ending = ending
            return shared.stop == .atOnce ? shared.term : nil
        }
        term?.end(ending)
        stopping.set(())
    }

    /// Ends the present term by its leader's will, and waits for its end.
    func resign() async throws {
        guard let term else { throw RecipeError(.notLeading, in: .election, path: path) }
        term.resign()
        try await term.over.wait()
    }

    private func end() {
        broadcast.finish(.stopped)
        readiness.finish()
        ended.set(())
    }
}

extension Contender.Grant {
    /// Deletes the znode at once; when that does not succeed, again and again, whatever becomes of the caller.
    ///
    /// Returns with the first answer; without a connection at once, and with a silent one after two seconds.
    func giveUp(client: ZooKeeperClient) async {
        let answered = OneShot<Void>()
        held.release(after: answered)
        let (session, cleanUp) = (held.session, cleanUp)
        guard !session.isGone else {
            answered.set(())
            return
        }
        if case .node(let path) = cleanUp {
            session.post(.delete(path: path)) { result in
                if case .failure(let error) = result, error.code != .noNode { session.cleanUp(cleanUp) }
                answered.set(())
            }
        } else {
            session.cleanUp(cleanUp).observe { answered.set(()) }
        }
        await client.waitWhileConnected(for: answered, atMost: .seconds(2))
    }
}
