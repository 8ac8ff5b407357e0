internal import ZooKeeper

/// Decides what a participant does next: one action at a time, each followed by an event with its result.
struct ElectionStateMachine: Sendable {
    enum Action: Equatable {
        /// Join the queue and wait for the turn.
        case stand
        /// Write the epoch znode, which creates the fencing token of the term.
        case takeOffice
        /// Run the term's closure until it has ended.
        case lead
        /// Delete the candidate znode.
        case giveUp
        /// Report a failure, and pause before rejoining the queue.
        case pause(ElectionFailure)
        case finish(ZooKeeperError?)
    }

    /// The reason for a pause.
    struct Problem: Equatable {
        var reason: String
        var isUnauthorized = false
        /// Whether terms were too short.
        ///
        /// This is not a failure: the pauses after failures do not grow.
        var isShortTerm = false
    }

    /// The reason for the end of a term, after its closure has returned.
    enum TermEnd: Equatable {
        case returned
        case failed(Problem)
        case lost
        /// The leader ended the term: it resigned, transferred its leadership or was stopped.
        case resigned
    }

    enum Event: Equatable {
        /// The participant is at the front of the queue.
        case elected
        /// The participant is not in the queue, for a reason that may be temporary.
        case rejected(Problem)
        /// The client has stopped, so that no request can be sent any more.
        case clientEnded(ZooKeeperError)
        case inOffice
        /// The candidate znode was lost before the term started.
        case officeLost
        case officeRefused(Problem)
        case termEnded(TermEnd, lasted: Duration)
        /// The candidate znode is deleted, or will be deleted in the background.
        case gaveUp
        case paused
        /// The wait was ended by ``stop()``.
        case stopped
    }

    private enum State: Equatable {
        case idle, standing, takingOffice, leading
        /// The candidate znode is being deleted; the associated value is the reason for the pause after it.
        case givingUp(Problem?)
        case pausing, finished
    }

    private var state = State.idle
    private var isStopping = false
    private var backoff: Backoff
    private var shortTermBackoff: Backoff
    private var lastTermWasShort = false
    private let retryResetInterval: Duration
    private let minimumTermDuration: Duration

    init(configuration: LeaderConfiguration, seed: UInt64) {
        backoff = Backoff(
            Backoff.Policy(initial: configuration.initialRetryDelay, limit: configuration.maximumRetryDelay), seed: seed
        )
        retryResetInterval = configuration.retryResetInterval
        minimumTermDuration = configuration.minimumTermDuration
        shortTermBackoff = Backoff(
            Backoff.Policy(initial: configuration.initialRetryDelay, limit: minimumTermDuration), seed: seed)
    }

    mutating func start() -> Action {
        isStopping ? finish() : go(.standing, .stand)
    }

    /// Stops the participant: from now on, every action leads to the end.
    ///
    /// A term in progress is ended elsewhere, or ends by itself.
    mutating func stop() {
        isStopping = true
    }

    mutating func handle(_ event: Event) -> Action {
        switch (state, event) {
        case (.finished, _): .finish(nil)
        case (_, .clientEnded(let error)): finish(isStopping ? nil : error)
        case (.standing, .elected): isStopping ? giveUp() : go(.takingOffice, .takeOffice)
        case (.standing, .rejected(let problem)): standAgain(after: problem)
        case (.takingOffice, .inOffice): isStopping ? giveUp() : go(.leading, .lead)
        case (.takingOffice, .officeRefused(let problem)): giveUp(after: problem)
        case (.takingOffice, .officeLost), (.takingOffice, .stopped): giveUp()
        case (.leading, .termEnded(let end, let lasted)): ended(end, lasted: lasted)
        case (.givingUp(let problem), .gaveUp): standAgain(after: problem)
        case (.pausing, .paused), (.pausing, .stopped), (.standing, .stopped): standAgain()
        // No other combination is expected. Release whatever is held.
        default: giveUp()
        }
    }

    private mutating func ended(_ end: TermEnd, lasted: Duration) -> Action {
        if lasted >= retryResetInterval { backoff.reset() }
        if case .failed(let problem) = end { return giveUp(after: problem) }
        if end == .returned { backoff.reset() }
        return giveUp(after: repeatedShortTerm(end, lasted: lasted))
    }

    /// Detects short terms in a row, which would keep the ensemble busy with elections.
    private mutating func repeatedShortTerm(_ end: TermEnd, lasted: Duration) -> Problem? {
        let isRepeated = lastTermWasShort
        lastTermWasShort = lasted < minimumTermDuration
        guard lastTermWasShort else {
            shortTermBackoff.reset()
            return nil
        }
        guard isRepeated else { return nil }
        return Problem(
            reason: "the term was \(end) after \(lasted), sooner than minimumTermDuration, \(minimumTermDuration)",
            isShortTerm: true)
    }

    private mutating func giveUp(after problem: Problem? = nil) -> Action {
        go(.givingUp(problem), .giveUp)
    }

    private mutating func standAgain(after problem: Problem? = nil) -> Action {
        if isStopping { return finish() }
        guard let problem else { return go(.standing, .stand) }
        let failure = ElectionFailure(
            reason: problem.reason, isUnauthorized: problem.isUnauthorized, isShortTerm: problem.isShortTerm,
            retryDelay: problem.isShortTerm ? shortTermBackoff.pause() : backoff.pause())
        return go(.pausing, .pause(failure))
    }

    private mutating func finish(_ error: ZooKeeperError? = nil) -> Action {
        go(.finished, .finish(error))
    }

    private mutating func go(_ state: State, _ action: Action) -> Action {
        self.state = state
        return action
    }
}
