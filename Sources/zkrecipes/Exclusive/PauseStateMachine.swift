/// Decides when a command behind a gate is asked to pause and to resume.
///
/// Each request is answered before the next one is made. Otherwise, the answer to an earlier request could be taken for
/// that to a later one, and a command that has just resumed would count as paused.
struct PauseStateMachine: Sendable {
    enum State: Equatable {
        /// The command runs, inside the gate.
        case running
        /// The command is asked to pause, and is still inside the gate.
        case pausing
        /// The command has paused, and is outside of the gate.
        case paused
        /// The command is asked to resume, and is inside the gate again.
        case resuming
    }

    enum Input {
        /// The gate may have closed or opened.
        case gateChanged
        /// The command has answered the last request.
        case acknowledged
        /// The last request could not be made.
        case failed
        /// The pause after a failure is over.
        case retry
        /// The command is inside the gate again.
        case entered
    }

    enum Action: Equatable {
        /// Ask the command to pause.
        case pause
        /// Ask the command to resume.
        case resume
        /// Release the permit, and wait until the gate is open.
        case leave
        /// Wait before the request is made again.
        case backOff
    }

    private(set) var state = State.running

    /// Handles an input.
    ///
    /// - Parameter isClosing: Whether the gate waits at this moment for the events inside.
    /// - Returns: What to do now; `nil` if there is nothing to do.
    mutating func handle(_ input: Input, isClosing: Bool) -> Action? {
        switch (state, input) {
        case (.running, .gateChanged) where isClosing: pause()
        // The gate may have opened again, because the window was withdrawn.
        case (.pausing, .acknowledged): isClosing ? leave() : resume()
        case (.pausing, .retry): isClosing ? pause() : resume()
        case (.paused, .entered): resume()
        case (.resuming, .acknowledged): isClosing ? pause() : proceed()
        case (.resuming, .retry): isClosing ? pause() : resume()
        case (.pausing, .failed), (.resuming, .failed): .backOff
        case (.running, _), (.pausing, _), (.paused, _), (.resuming, _): nil
        }
    }

    private mutating func pause() -> Action? {
        state = .pausing
        return .pause
    }

    private mutating func resume() -> Action? {
        state = .resuming
        return .resume
    }

    private mutating func leave() -> Action? {
        state = .paused
        return .leave
    }

    private mutating func proceed() -> Action? {
        state = .running
        return nil
    }
}
