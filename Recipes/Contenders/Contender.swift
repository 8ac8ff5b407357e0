internal import Synchronization
package import ZooKeeper

/// One attempt to reach the front of a queue, which performs the actions of ``ContenderStateMachine``.
///
/// The attempt runs on the threads that deliver answers and events, without a task of its own. Tasks are created only
/// to wait for a session, for missing parents, and for a pause.
package final class Contender: Sendable {
    /// The result of a successful attempt: the participant's znode, held and at the front of the queue.
    package struct Grant: Sendable {
        package var held: HeldNode
        package var name: ContenderName
        /// The znodes to delete at the end.
        package var cleanUp: CleanUp
        /// The time since when the participant has waited.
        package var requested: MonotonicInstant
    }

    typealias Outcome = ContenderStateMachine.Outcome

    /// The outcome of the attempt, and the deletions that are still in progress.
    struct End: Sendable {
        var outcome: Outcome
        var grant: Grant?
        var cleanUp: OneShot<Void>?
    }

    struct State: Combining {
        var machine: ContenderStateMachine
        var session: SessionHandle?
        var held: HeldNode?
        /// The watches on the predecessor, or on the directory.
        var watches: [OneShotWatch] = []
        /// The name of the participant's znode while it waits, and the watch on it.
        var own = ""
        var ownWatch: OneShotWatch?
        /// Whether the participant's znode will be watched after a while.
        var watchesOwnLater = false
        /// Whether the attempt has ended, so that no more watches may be set.
        var hasEnded = false
        var waiting: Task<Void, Never>?
        var backoff: Backoff
        var events: [@Sendable (inout ContenderStateMachine) -> ContenderStateMachine.Action?] = []
        var isPerforming = false
        /// The data version of the participant's znode that was reported last.
        var seen: (name: String, version: Int32) = ("", 0)
        var onPlace: (@Sendable (_ candidate: String, _ inFront: Int) -> Void)?
    }

    let client: ZooKeeperClient
    let directory: String
    /// The recipe that errors refer to.
    private let recipe: RecipeError.Recipe
    let data: [UInt8]
    /// The kind of the grant in metrics.
    let kind: GrantKind
    let requested: MonotonicInstant
    let onWrite: (@Sendable (_ candidate: String, _ data: [UInt8]) -> Void)?
    let end = OneShot<End>()
    let state: Mutex<State>

    /// Creates an attempt without sending a request.
    ///
    /// - Parameters:
    ///   - client: The client whose session owns the znode.
    ///   - directory: The queue's directory, which is created if it does not exist.
    ///   - recipe: The recipe that errors refer to.
    ///   - policy: Decides which participants ahead block this one.
    ///   - kind: The kind of the grant in metrics; `nil` for that of the policy.
    ///   - data: The data of the participant's znode.
    ///   - waits: Whether to wait for the participants ahead; if `false`, joins only a queue that is free.
    ///   - onWrite: Called on the delivering thread with the name and the data of the participant's znode, after
    ///     another process has written it while it waits, as ``ContenderRequest`` does. After the grant,
    ///     ``HeldNode/onWrite(_:)`` is called instead.
    package init(
        client: ZooKeeperClient, directory: String, recipe: RecipeError.Recipe = .lock, policy: ContenderPolicy,
        kind: GrantKind? = nil, data: [UInt8], waits: Bool = true,
        onWrite: (@Sendable (_ candidate: String, _ data: [UInt8]) -> Void)? = nil
    ) {
        self.onWrite = onWrite
        self.client = client
        self.directory = directory
        self.recipe = recipe
        self.data = data
        self.kind = kind ?? GrantKind(policy.kind)
        requested = client.clock.now
        let backoff = client.makeBackoff(.quick)
        state = Mutex(State(machine: ContenderStateMachine(policy: policy, waits: waits), backoff: backoff))
    }

    /// Sets a closure to call each time the participant has found its position in the queue and must wait.
    ///
    /// The closure receives the name of the participant's znode and the number of participants ahead. It is called on
    /// the delivering thread.
    package func onPlace(_ observer: @escaping @Sendable (_ candidate: String, _ inFront: Int) -> Void) {
        state.withLock { $0.onPlace = observer }
    }

    /// Accepts a hand-over by the holder, if the offer still exists and this participant waits.
    ///
    /// The next result is the grant, after the holder has left.
    ///
    /// - Parameters:
    ///   - holder: The name of the holder's znode.
    ///   - candidate: The name of this participant's znode that the offer was made to.
    ///   - offer: The path of the offer, which is deleted in the same transaction.
    package func takePlace(of holder: ContenderName, as candidate: String, offer: String) {
        handle { $0.receiveOffer(of: holder, to: candidate, offer: offer) }
    }

    /// The current session of the attempt; `nil` before the first one.
    package var session: SessionHandle? { state.withLock { $0.session } }

    /// Joins the queue and waits until all conflicting participants ahead have left.
    ///
    /// The position in the queue survives a lost connection. After the end of the session, the participant joins again
    /// at the end of the queue.
    ///
    /// - Parameter deadline: The time to give up, whatever the state; `nil` for never.
    /// - Returns: A grant for which ``HeldNode/isValid`` was true.
    /// - Throws: ``RecipeError`` with code `.timedOut`, `.notAvailable` or `.queueNumbersExhausted`; ``ZooKeeperError``
    ///   such as `.noAuth`; `CancellationError`. The participant's znode is then gone. Without a connection, it is
    ///   deleted on the next one.
    /// - Complexity: 2 requests in 1 round trip if no participant is ahead.
    package func acquire(until deadline: MonotonicInstant? = nil) async throws -> Grant {
        try Task.checkCancellation()
        let timer = deadline.map { client.clock.schedule(at: $0) { self.giveUp(.timedOut) } }
        defer { timer?.cancel() }
        let end: End = await withTaskCancellationHandler {
            receive(.start, step: nil)
            return await self.end.valueIgnoringCancellation()
        } onCancel: {
            giveUp(.cancelled)
        }
        if let cleanUp = end.cleanUp {
            let timeout: Duration = end.outcome == Outcome.timedOut ? .milliseconds(150) : .seconds(2)
            await client.waitWhileConnected(forWork: cleanUp, atMost: timeout)
        }
        return try grant(end)
    }

    private func grant(_ end: End) throws -> Grant {
        switch end.outcome {
        case .granted:
            if let grant = end.grant { return grant }
            throw CancellationError()
        case .cancelled: throw CancellationError()
        case .notAvailable: throw RecipeError(.notAvailable, in: recipe, path: directory)
        case .timedOut: throw RecipeError(.timedOut, in: recipe, path: directory)
        case .numbersExhausted:
            throw RecipeError(
                .queueNumbersExhausted, in: recipe, path: directory, message: ContenderName.beyondTheLimitMessage)
        case .failed(let error): throw error
        }
    }
}

extension Contender {
    /// Returns the path of a child of the queue's directory.
    func path(_ name: String) -> String { ZNodePath.child(name, of: directory) }

    func receive(_ input: ContenderStateMachine.Input, step: Int?) {
        handle { $0.receive(input, step: step) }
    }

    /// Ends the attempt, unless it has already ended.
    func giveUp(_ outcome: ContenderStateMachine.Outcome) {
        handle { $0.giveUp(outcome) }
    }

    /// Handles events one after another, and performs the actions in order.
    ///
    /// If a second thread calls this, or an answer arrives while an action is performed, the thread that is already
    /// active handles the event.
    func handle(_ event: @escaping @Sendable (inout ContenderStateMachine) -> ContenderStateMachine.Action?) {
        state.withLock { $0.events.append(event) }
        state.combine { state -> (ContenderStateMachine.Action?, Int)? in
            guard !state.events.isEmpty else { return nil }
            let action = state.events.removeFirst()(&state.machine)
            return (action, state.machine.step)
        } perform: { action, step in
            if let action { perform(action, step: step) }
        }
    }
}
