internal import ZooKeeper

/// Decides when a gate admits events; part of the state that the gate's lock protects.
///
/// Events count in the order of the calls, whichever thread makes them. The first interrupt of a grant closes the gate,
/// and the gate never opens again for that grant. An event that arrives late, for an earlier grant, has no effect.
struct GateAdmission: Sendable {
    /// The reason why a gate must close.
    enum Interrupt: Sendable, Equatable {
        case signalled, stopped
        case lost(LossReason)
    }

    enum Input: Sendable {
        /// The grant with this number should admit events.
        case open(Int)
        /// A window was requested during the grant with this number.
        case signalled(Int)
        /// The read znode with this token is deleted, or may be.
        case lost(FencingToken, LossReason)
        /// The gate must not open from now on.
        case stop(cancelsInside: Bool)
    }

    enum Action: Equatable {
        case open, cancelInside
        case close(Interrupt)
    }

    private enum State { case prepared, open, closed }

    private var state = State.closed
    /// The number of the current grant; the grant that follows a signal may have the same token.
    private var number = 0
    private var token: FencingToken?
    private var isStopping = false
    /// The token whose operations were cancelled; an operation with this token that starts later is cancelled as well.
    private(set) var cancelled: FencingToken?

    var isOpen: Bool { state == .open }

    /// Replaces the current grant; the new grant is interrupted from the start if the gate must not open any more.
    mutating func prepare(_ token: FencingToken) -> (number: Int, interrupt: Interrupt?) {
        (state, number, self.token) = (isStopping ? .closed : .prepared, number + 1, token)
        return (number, isStopping ? .stopped : nil)
    }

    mutating func handle(_ input: Input) -> [Action] {
        switch input {
        case .open(number) where state == .prepared:
            state = .open
            return [.open]
        case .signalled(number): return close(.signalled)
        case .lost(let token, let reason) where token == self.token: return close(.lost(reason)) + cancelInside()
        case .stop(let cancelsInside):
            isStopping = true
            return close(.stopped) + (cancelsInside ? cancelInside() : [])
        case .open, .signalled, .lost: return []
        }
    }

    private mutating func close(_ interrupt: Interrupt) -> [Action] {
        guard state != .closed else { return [] }
        state = .closed
        return [.close(interrupt)]
    }

    private mutating func cancelInside() -> [Action] {
        cancelled = token
        return [.cancelInside]
    }
}

/// Decides the next action of a gate: one action at a time, each followed by the event that reports its outcome.
struct GateStateMachine: Sendable {
    enum Action: Equatable {
        /// Wait for a connected session.
        case awaitSession
        /// Create the read znode and check for the signal, in one round trip.
        case enter
        /// Open the gate, and wait until it must close.
        case open
        /// Wait before opening, with the gate closed and the read znode in place.
        case recover
        /// Wait until no event is inside, or, if the gate may reopen, until the signal is deleted.
        case drain(mayReopen: Bool)
        /// Delete the read znode, and read the signal with a watch, in one round trip.
        case leave
        /// Wait until the signal is deleted.
        case awaitSignalGone
        /// Pause before retrying after a failure.
        case backOff
        case finish
    }

    enum Event: Equatable {
        case session
        /// The read znode exists, and no signal existed after its creation; whether a window has ended without a
        /// record.
        case entered(windowCrashed: Bool)
        /// The read znode exists, and so does a signal.
        case enteredUnderSignal
        /// No read znode is known to exist; one that may have been created is left to the clean-up.
        case enterFailed
        case recovered
        /// The signal was created while the gate was open or recovering.
        case signalled
        /// The grant is lost; `hasSession` if its session has not ended, so that the read znode may still exist.
        case lost(hasSession: Bool)
        case drained
        /// The read znode is deleted; whether the signal exists, if that is known.
        case left(signalStands: Bool)
        /// The session has ended meanwhile.
        case sessionEnded
        /// The signal is deleted; from a draining gate also: the read znode still exists and the signal is watched
        /// again.
        case signalGone
        case backedOff
        /// A wait ended because the gate is to stop.
        case stopped
        /// The ensemble denies a permission that this processor needs.
        case forbidden
    }

    private enum State: Equatable {
        case idle, entering, recovering, open
        /// No event is admitted; the read znode is deleted next if it may exist.
        ///
        /// A gate that was open and closed only because of a signal may reopen when the signal is deleted. Its read
        /// znode was never deleted. Therefore no window can have opened, and every later window waits for it.
        case draining(hasNode: Bool, mayReopen: Bool)
        case leaving, paused, backingOff, stopped
    }

    private var state = State.idle
    private var isStopping = false

    mutating func start() -> Action {
        go(.idle, .awaitSession)
    }

    /// Makes all further actions lead to the end, undoing first what was started.
    mutating func stop() {
        isStopping = true
    }

    mutating func handle(_ event: Event) -> Action {
        switch (state, event) {
        case (.stopped, _): .finish
        case (.idle, .session), (.leaving, .left(signalStands: false)), (.paused, .signalGone):
            isStopping ? finish() : go(.entering, .enter)
        case (.leaving, .left(signalStands: true)):
            isStopping ? finish() : go(.paused, .awaitSignalGone)
        case (.entering, .entered(let crashed)):
            isStopping ? go(.leaving, .leave) : crashed ? go(.recovering, .recover) : go(.open, .open)
        case (.entering, .enteredUnderSignal): go(.leaving, .leave)
        case (.entering, .enterFailed): isStopping ? finish() : go(.backingOff, .backOff)
        case (.recovering, .recovered): isStopping ? go(.leaving, .leave) : go(.open, .open)
        case (.open, .signalled): drain(hasNode: true, mayReopen: !isStopping)
        case (.recovering, .signalled), (.open, .stopped), (.recovering, .stopped): drain(hasNode: true)
        case (.open, .lost(let hasSession)), (.recovering, .lost(let hasSession)): drain(hasNode: hasSession)
        case (.draining(_, mayReopen: true), .signalGone): isStopping ? drain(hasNode: true) : go(.open, .open)
        case (.draining(let hasNode, _), .drained): hasNode ? go(.leaving, .leave) : startOver()
        case (.backingOff, .backedOff), (_, .sessionEnded): startOver()
        case (_, .stopped), (_, .forbidden): finish()
        // Unexpected; after this action no event is inside and no znode exists.
        default: drain(hasNode: true)
        }
    }

    private mutating func drain(hasNode: Bool, mayReopen: Bool = false) -> Action {
        go(.draining(hasNode: hasNode, mayReopen: mayReopen), .drain(mayReopen: mayReopen))
    }

    private mutating func startOver() -> Action {
        isStopping ? finish() : go(.idle, .awaitSession)
    }

    private mutating func finish() -> Action {
        go(.stopped, .finish)
    }

    private mutating func go(_ state: State, _ action: Action) -> Action {
        self.state = state
        return action
    }
}
