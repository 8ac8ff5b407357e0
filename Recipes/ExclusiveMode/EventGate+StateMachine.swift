internal import ZooKeeper

/// Decides when a gate admits events; a part of what its lock protects.
///
/// Whatever thread it happens on, it counts in the order in which it comes in here. The first interrupt of a grant closes the
/// gate, and nothing opens it again for that grant. What comes late, for an earlier grant, does nothing.
struct GateAdmission: Sendable {
    /// Why a gate must close.
    enum Interrupt: Sendable, Equatable {
        case signalled, stopped
        case lost(LossReason)
    }

    enum Input: Sendable {
        /// The grant with this number is to admit events.
        case open(Int)
        /// A window was requested during the grant with this number.
        case signalled(Int)
        /// The read znode with this token is gone, or may be.
        case lost(FencingToken, LossReason)
        /// Nothing may open from now on.
        case stop(cancelsInside: Bool)
    }

    enum Action: Equatable {
        case open, cancelInside
        case close(Interrupt)
    }

    private enum State { case prepared, open, closed }

    private var state = State.closed
    /// The current grant: one that outlasts a signal is followed by another one with the same token.
    private var number = 0
    private var token: FencingToken?
    private var isStopping = false
    /// The token whose operations were cancelled: one that begins later is too late.
    private(set) var cancelled: FencingToken?

    var isOpen: Bool { state == .open }

    /// Takes up a grant in place of the one before; it is interrupted already if nothing may open any more.
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

/// Decides what a gate does next: one action at a time, each followed by the event that tells its outcome.
struct GateStateMachine: Sendable {
    enum Action: Equatable {
        /// Wait for a session that is connected.
        case awaitSession
        /// Create the read znode and look for the signal, in one flight.
        case enter
        /// Open the gate, and wait until it must close.
        case open
        /// Wait, with the gate shut and the read znode standing, before opening.
        case recover
        /// Wait until nobody is inside; where it may reopen, also for the signal's end.
        case drain(mayReopen: Bool)
        /// Delete the read znode, and read the signal with a watch, in one flight.
        case leave
        /// Wait for the signal's end.
        case awaitSignalGone
        /// Pause before trying again after a failure.
        case backOff
        case finish
    }

    enum Event: Equatable {
        case session
        /// The read znode exists, and no signal did after it; whether a window has ended without a record.
        case entered(windowCrashed: Bool)
        /// The read znode stands, and so does a signal.
        case enteredUnderSignal
        /// Nothing stands for certain: what may have been created is left to the clean-up.
        case enterFailed
        case recovered
        /// The signal was created while the gate was open or recovering.
        case signalled
        /// The grant is gone; `hasSession` when its session lives, so that the read znode may still stand.
        case lost(hasSession: Bool)
        case drained
        /// The read znode is gone; whether the signal stands, if that is known.
        case left(signalStands: Bool)
        /// The session ended meanwhile.
        case sessionEnded
        /// The signal is gone; from a gate that drains, also: the read znode still exists and the signal is watched again.
        case signalGone
        case backedOff
        /// A wait ended because the gate is to stop.
        case stopped
        /// The ensemble refuses this processor the rights that it needs.
        case forbidden
    }

    private enum State: Equatable {
        case idle, entering, recovering, open
        /// Nobody comes in; the read znode is deleted next when it may stand.
        ///
        /// A gate that was open and closed for a signal only may reopen when that has gone: the read znode was never
        /// deleted, therefore no window can have opened, and every later one waits for it.
        case draining(hasNode: Bool, mayReopen: Bool)
        case leaving, paused, backingOff, stopped
    }

    private var state = State.idle
    private var isStopping = false

    mutating func start() -> Action {
        go(.idle, .awaitSession)
    }

    /// Lead to the end from here on: whatever was begun is undone first.
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
        // Not to be expected; nobody is inside and nothing stands after this.
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
