internal import Logging
internal import Synchronization
internal import ZooKeeper

/// One participant of an election, the implementation of ``LeaderSelector`` and ``LeaderLatch``.
final class Election: Sendable {
    /// How soon a participant has to stop.
    enum Stop: Int, Comparable {
        case no, afterTerm, atOnce

        static func < (left: Stop, right: Stop) -> Bool { left.rawValue < right.rawValue }
    }

    struct Shared {
        var stop = Stop.no
        /// The way in which a term ends that starts although the participant has to stop.
        var ending = Term.Ending.cancelled
        var term: Term?
        var terms = 0
        /// The name of the waiting candidate znode and its session.
        var waiting: (candidate: String, session: SessionHandle)?
        /// The transfer in progress.
        var transfer: OneShot<Void>?
    }

    /// Callbacks for callers that run many elections and decide themselves which participant leads.
    ///
    /// The callbacks are called on the thread where the event happens and must not block.
    struct Hooks: Sendable {
        /// Called with each state, in order.
        var onState: @Sendable (LeaderState) -> Void
        /// Called when another participant asks this leader to hand over.
        ///
        /// The election itself takes no action. The hooks replace priorities: a participant with hooks that is ready
        /// asks every leader.
        var onTakeover: @Sendable (_ requesterID: String, _ candidate: ContenderName) -> Void
    }

    let client: ZooKeeperClient
    let path: String
    let id: String
    let kind: ContenderName.Kind
    let configuration: LeaderConfiguration
    let logger: Logger
    /// The time for which a term may continue after its leader has ended it, before its closure is cancelled.
    let grace: Duration
    let hooks: Hooks?
    let lead: @Sendable (Term) async throws -> Void

    let broadcast = Broadcast<LeaderState>(.waiting(position: nil))
    let readiness: Broadcast<Bool>
    let runOnce = RunOnce()
    let stopping = OneShot<Void>()
    /// Signalled when there may be a request to this participant.
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

    /// The current term, or `nil` if this participant does not lead.
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

    /// Makes the participant leave the election; a term in progress ends as `ending` specifies.
    func stop(_ stop: Stop, _ ending: Term.Ending) {
        let term = shared.withLock { shared in
            shared.stop = max(shared.stop, stop)
            shared.ending = ending
            return shared.stop == .atOnce ? shared.term : nil
        }
        term?.end(ending)
        stopping.set(())
    }

    /// Ends the current term on behalf of its leader, and waits for its end.
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
    /// Deletes the candidate znode, and retries until the znode is gone, whatever happens to the caller.
    ///
    /// This method returns with the first answer. It returns at once without a connection, and after two seconds if the
    /// server does not answer.
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
            session.cleanUp(cleanUp, answered: answered)
        }
        await client.waitWhileConnected(for: answered, atMost: .seconds(2))
    }
}
